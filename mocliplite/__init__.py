"""Action recognition from a codec's motion vectors and one keyframe seen by a frozen CLIP."""

import os

__version__ = "0.1.0"

# Before torch is imported, or it does not count: threads that wait spin by default, and where another process wants
# the core too, a training step was measured to take 5 to 8 times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Without it cuBLAS sums in an order of its own, and two runs on a GPU differ.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
