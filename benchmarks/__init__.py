"""Timings and experiments, each run by hand: `python -m benchmarks.NAME`."""

import mocliplite  # noqa: F401  (sets environment variables that numpy and torch read when they are imported)
