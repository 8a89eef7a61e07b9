"""Video files: frames, motion vectors, keyframes, re-encoding. The only room that imports av.

May import: evaluation and the ground floor.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "frames": ["pictures"],
        "keyframes": ["read_keyframes"],
        "streams": ["info"],
        "vectors": ["motion_vectors"],
    },
)
