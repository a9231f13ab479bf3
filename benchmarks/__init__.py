"""What the client costs and delivers, beside what else people use. See docs/benchmarks.md."""
