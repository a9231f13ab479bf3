"""Benchmarks of instantly-async: ``python -m benchmarks NAME``. Loopback only."""
