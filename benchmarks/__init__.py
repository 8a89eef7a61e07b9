"""Timings and experiments, each run by hand: `python -m benchmarks.NAME`."""
