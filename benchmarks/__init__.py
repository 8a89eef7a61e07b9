"""What the pipeline costs, beside what one would use instead: `python -m benchmarks.NAME`."""
