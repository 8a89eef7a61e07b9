"""Which clips there are, and which of them are for training, validation and test.

May import: store, video, remote, runtime, evaluation and the ground floor.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submod_attrs={"clips": ["Clip", "read_clips"], "index": ["find_clips"], "splits": ["read_splits"]}
)
