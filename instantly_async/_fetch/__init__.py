"""Who gets what: ids in, one outcome for each."""
