"""A fuzz harness: edited inputs at all entry points (python -m benchmarks.fuzz)."""
