"""One lead, one line."""
