"""Feature stores: folders of HDF5 shards and single HDF5 files. The only package that imports h5py.

May import: evaluation and the ground floor (errors, params, files, checkpoint).
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submod_attrs={"stores": ["Store", "open_store", "verify"], "table_file": ["read_table"]}
)
