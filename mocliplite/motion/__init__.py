"""Motion fields, computed from motion vectors.

May import: store, video, remote, runtime, evaluation and the ground floor.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submod_attrs={"extraction": ["motion_field"], "field": ["Field"]}
)
