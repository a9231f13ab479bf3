"""Files and waiting for them."""
