"""Action recognition from the motion vectors of a video codec and one keyframe embedded by a frozen CLIP."""

import os

__version__ = "0.1.0"

# Must be set before torch is imported. By default, waiting OpenMP threads spin; where another process uses the same
# core, a training step was measured to be 5 to 8 times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Without this setting cuBLAS does not fix the order of its sums, and two runs on a GPU differ.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
