"""Where leads go: the journal, or stdout."""
