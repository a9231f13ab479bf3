"""What it means: the rules of the API, without I/O."""
