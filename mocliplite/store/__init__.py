"""Feature stores: sharded HDF5 folders and single files. The only room that imports h5py.

May import: evaluation and the ground floor.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submod_attrs={"stores": ["Store", "open_store", "verify"], "table_file": ["read_table"]}
)
