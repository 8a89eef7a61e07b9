"""Reading and writing HDF5: equal content gives equal bytes, and nothing is read without checks.

Readers test a checksum of all bytes that carry meaning: the checksums of HDF5's own structures (format 1.10 or later),
fletcher32, or Adler-32 of a zlib stream.
"""

import json
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import h5py
import numpy as np
from deflate import DeflateError, zlib_compress, zlib_decompress

from mocliplite import interrupts, versions
from mocliplite.errors import UserError
from mocliplite.files import errors_mean_damage
from mocliplite.large_arrays import new_array
from mocliplite.store import structures, whole_file
from mocliplite.store.attributes import read_attributes, read_schema, write_attributes

SCHEMA = versions.SCHEMA
_COMPRESSION_LEVEL = 3  # as fast as LZF, at half the size
# Bytes per chunk: small for motion, of which single frames are read; large for embeddings, which are read whole
# (docs/stores.md).
_MOTION_CHUNK, _EMBEDDING_CHUNK = 1 << 15, 1 << 18
_CHUNKS_OF_PART = 64  # chunks read at a time where some rows of an array are wanted
# The largest possible ratio of deflate: a file that claims more is a decompression bomb.
_MAX_RATIO = 1032
Arrays = dict[str, np.ndarray]
Settings = Mapping[str, Any]
NO_PROVENANCE: Settings = {}
Group: TypeAlias = h5py.Group


def canonical_json(value: object) -> str:
    """Return JSON text that is the same for equal values."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def file_attributes(kind: str, settings: Settings, provenance: Settings) -> dict[str, Any]:
    """Return the attributes of a file.

    settings decide the values; provenance (names, paths, costs) describes them and decides nothing.
    """
    texts = {"settings": canonical_json(settings), "provenance": canonical_json(provenance)}
    return {"schema": SCHEMA, "kind": kind, **texts}


@contextmanager
def create_file(path: Path, kind: str, settings: Settings, provenance: Settings) -> Iterator[Group]:
    """Yield a file to write; at the end, rename it to path. Raises UserError if path cannot be written."""
    with whole_file.create(path) as file:
        write_attributes(file, file_attributes(kind, settings, provenance))
        yield file


@contextmanager
def open_any_file(path: Path) -> Iterator[Group]:
    """Yield a file of any kind. Any error while reading it is raised as a UserError: the file is damaged."""
    try:
        with read_errors_mean_damage(path), open_unchecked(path) as file:
            yield file
    except MemoryError as error:
        raise UserError(f"{path} does not fit in memory ({error}); check where it comes from.") from None


def open_unchecked(path: Path) -> h5py.File:
    """Return a file opened for reading, whose attributes are not checked. Raises OSError if HDF5 cannot open it.

    Raises ValueError if its root is not as in stores.
    """
    if not path.is_file():  # opening a pipe would wait for a writer
        raise OSError("not a regular file")
    file = whole_file.open_to_read(path)
    try:
        structures.check_root(file)
    except BaseException:
        file.close()
        raise
    return file


@contextmanager
def read_errors_mean_damage(what: str | Path) -> Iterator[None]:
    """Context in which any error while reading means that this file, or this part of one, is damaged.

    But for those of the disk, which HDF5 raises as errors of any type, with the number in the message.
    """
    with errors_mean_damage(what, OSError, KeyError, ValueError, RuntimeError, DeflateError):
        try:
            yield
        except (OSError, KeyError, ValueError, RuntimeError) as error:
            if found := re.search(r"errno = (\d+)", str(error)):
                raise OSError(int(found[1]), os.strerror(int(found[1]))) from None
            raise


@contextmanager
def open_file(path: Path, kind: str | None = None) -> Iterator[Group]:
    """Yield a file of this kind (None: any) and of the current schema. Raises UserError for any other file."""
    with open_any_file(path) as file:
        schema = read_schema(file)
        if schema != SCHEMA:
            raise UserError(
                f"{path} has schema {schema}, this version reads {SCHEMA}; write it again with `dvc repro -f`."
            )
        found = read_attributes(file).get("kind")
        if found != (kind or found):
            raise UserError(f"{path} contains {found}, not {kind}; check the path.")
        yield file


def write_arrays(group: Group, arrays: Arrays) -> None:
    """Write arrays in order of name."""
    for name in sorted(arrays):
        write_array(group, name, arrays[name])


def write_array(group: Group, name: str, values: np.ndarray | Sequence[str]) -> None:
    """Write one array: int8 compressed, other types uncompressed; text from numpy str or a sequence of str.

    The dataset is closed at once. HDF5 gives most values their place in the file when it closes a dataset, which h5py
    would do when Python frees the object: later, where a profiler such as that of Dask holds it.
    """
    array = values if isinstance(values, np.ndarray) else np.array(values, dtype=str)
    if array.dtype.kind == "U":
        # Fixed-length strings, because HDF5 stores variable-length strings in a heap without a checksum.
        encoded = np.strings.encode(array, "utf-8")
        array = encoded.astype(h5py.string_dtype("utf-8", max(1, encoded.dtype.itemsize)))
    if array.size == 0 or array.ndim == 0:
        # Such arrays cannot have chunks. The compact layout stores them in the object header, which has a checksum.
        compact = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        compact.set_layout(h5py.h5d.COMPACT)
        group.create_dataset(name, data=array, dcpl=compact).id.close()
        return
    compressed = array.dtype == np.int8
    chunk_bytes = _MOTION_CHUNK if compressed else _EMBEDDING_CHUNK
    length = max(1, min(len(array), chunk_bytes // max(1, array[:1].nbytes)))
    if compressed:
        _write_compressed(group, name, array, (length, *array.shape[1:]))
    else:
        group.create_dataset(name, data=array, chunks=(length, *array.shape[1:]), fletcher32=True).id.close()


def _write_compressed(group: Group, name: str, array: np.ndarray, chunks: tuple[int, ...]) -> None:
    """Write a dataset that any HDF5 reader decodes as gzip. Its checksum is the Adler-32 of the zlib stream.

    HDF5's own filters do not give equal bytes for equal data: LZF reads uninitialised memory, and gzip depends on the
    zlib of the system.
    """
    options = {"compression": "gzip", "compression_opts": _COMPRESSION_LEVEL}
    dataset = group.create_dataset(name, array.shape, array.dtype, chunks=chunks, **options)
    for start in range(0, len(array), chunks[0]):
        interrupts.deliver()  # a long video takes minutes
        chunk = np.zeros(chunks, array.dtype)
        rows = array[start : start + chunks[0]]
        chunk[: len(rows)] = rows
        offset = (start, *(0 for _ in chunks[1:]))
        dataset.id.write_direct_chunk(offset, zlib_compress(chunk.tobytes(), _COMPRESSION_LEVEL))
    dataset.id.close()


def names(group: Group) -> list[str]:
    """Return the names of the members of a group, sorted.

    In the order of the file: in any other order, HDF5 2.0 makes a table of as many names as a header says, and a header
    that says another number than there are makes it write beyond the table.
    """
    found: list[bytes] = []
    # The function would end at a result other than None.
    group.id.links.iterate(found.append, idx_type=h5py.h5.INDEX_NAME, order=h5py.h5.ITER_NATIVE)
    return sorted(name.decode() for name in found)


def read_group(group: Group, name: str) -> Group:
    """Return a subgroup. Raises KeyError if it is missing and ValueError if it is not a group."""
    return _member(group, name, h5py.Group)


def read_array(group: Group, name: str, dtype: str | None = None, *shape: int | None) -> np.ndarray:
    """Return one array, text as numpy str. Raises ValueError unless it is as `write_array` stores it.

    dtype is the numpy name of the expected type, "U" for text. In shape, None accepts any length. Without a dtype,
    shape lists the leading lengths only.
    """
    dataset = _checked_dataset(group, name, dtype, shape)
    if h5py.check_string_dtype(dataset.dtype):
        return np.strings.decode(np.asarray(dataset[()]), "utf-8")
    if dataset.dtype == np.int8:
        return _read_compressed_rows(dataset, np.arange(len(dataset)))
    return dataset[()]


def read_rows(group: Group, name: str, rows: Sequence[int] | np.ndarray) -> np.ndarray:
    """Return rows of a compressed array, int8 [K, rows, cols, 2], in the given order; repeated rows are repeated.

    Only the chunks that contain these rows are read. Raises IndexError for a row that does not exist.
    """
    dataset = _checked_dataset(group, name, "int8", (None, None, None, 2))
    wanted = np.asarray(rows, dtype=np.int64)
    if len(wanted) and not (wanted.min() >= 0 and wanted.max() < len(dataset)):
        raise IndexError(f"rows {wanted.min()} to {wanted.max()} of {len(dataset)}")
    return _read_compressed_rows(dataset, wanted)


def read_masked(group: Group, name: str, mask: np.ndarray) -> np.ndarray:
    """Return the rows of an array for which mask, bool [N], is True; text as numpy str.

    An uncompressed array is read by parts, so that memory is needed for these rows only, and for many rows not even
    that; see `new_array`.
    """
    dataset = _checked_dataset(group, name, None, (len(mask),))
    if dataset.dtype == np.int8:
        return _read_compressed_rows(dataset, np.flatnonzero(mask))
    out = new_array((int(np.count_nonzero(mask)), *dataset.shape[1:]), dataset.dtype)
    chunk = dataset.chunks[0] if dataset.chunks else 1
    length, filled = _CHUNKS_OF_PART * chunk, 0
    for start in range(0, len(mask), length):
        rows = dataset[start : start + length][mask[start : start + length]]
        out[filled : filled + len(rows)] = rows
        filled += len(rows)
    return np.strings.decode(out, "utf-8") if h5py.check_string_dtype(dataset.dtype) else out


def unreadable_rows(group: Group, name: str) -> list[int]:
    """Return the rows of an array that cannot be read, for a report. Slow: reads row by row."""
    dataset, rows = _member(group, name, h5py.Dataset), []
    for row in range(len(dataset)):
        try:
            dataset[row]
        except OSError:
            rows.append(row)
    return rows


def _read_compressed_rows(dataset: h5py.Dataset, rows: np.ndarray) -> np.ndarray:
    """Return rows of a compressed dataset, chunk by chunk: several times faster than h5py, which reads row by row."""
    shape = dataset.chunks
    if shape is None:  # a clip without frames
        return dataset[()][rows]
    out = np.empty((len(rows), *dataset.shape[1:]), dtype=np.int8)
    if shape[1:] != dataset.shape[1:]:
        raise ValueError(f"the chunks of {dataset.name} are not whole rows")
    chunk_numbers = rows // shape[0]
    for number in np.unique(chunk_numbers):
        mask, compressed = dataset.id.read_direct_chunk((int(number) * shape[0], *(0 for _ in shape[1:])))
        if mask:
            raise ValueError(f"{dataset.name} has an uncompressed chunk")
        chunk = np.frombuffer(zlib_decompress(compressed, originalsize=math.prod(shape)), dtype=np.int8).reshape(shape)
        in_chunk = chunk_numbers == number
        out[in_chunk] = chunk[rows[in_chunk] - number * shape[0]]
    return out


def _checked_dataset(group: Group, name: str, dtype: str | None, shape: tuple[int | None, ...]) -> h5py.Dataset:
    """Return a dataset after the checks that are possible without reading it. Raises ValueError if one fails."""
    dataset = _member(group, name, h5py.Dataset)
    text = h5py.check_string_dtype(dataset.dtype)
    found = "U" if text else dataset.dtype.name
    if dataset.dtype.kind not in "iuf" and not (text and text.encoding == "utf-8" and text.length):
        raise ValueError(f"{name} has type {dataset.dtype}, which stores do not use")
    lengths = dataset.shape if dtype else dataset.shape[: len(shape)]
    fits = len(lengths) == len(shape) and all(b in (None, a) for a, b in zip(lengths, shape, strict=True))
    if dtype not in (None, found) or not fits:
        raise ValueError(f"{name} is {found} {list(dataset.shape)}, not {dtype or 'any type'} {list(shape)}")
    properties = dataset.id.get_create_plist()
    filters = {properties.get_filter(number)[0] for number in range(properties.get_nfilters())}
    # Only int8 is written compressed, so nothing else can be a decompression bomb.
    known = {h5py.h5z.FILTER_DEFLATE if dataset.dtype == np.int8 else h5py.h5z.FILTER_FLETCHER32}
    if not filters <= known:
        raise ValueError(f"{name} needs filters that stores do not use")
    # Otherwise missing chunks would be read as zeros, and a small file could request all memory.
    if dataset.nbytes > _MAX_RATIO * dataset.id.get_storage_size():
        raise ValueError(f"{name} is {list(dataset.shape)}, more than the file can contain")
    if dataset.chunks:
        stored: list[h5py.h5d.StoreInfo] = []
        dataset.id.chunk_iter(stored.append)
        if len(stored) != math.prod(
            -(-length // chunk) for length, chunk in zip(dataset.shape, dataset.chunks, strict=True)
        ):
            raise ValueError(f"{name} has missing chunks")
        # HDF5 copies as many bytes as an uncompressed chunk has, however many are stored. The checksum has 4 bytes.
        size = math.prod(dataset.chunks) * dataset.dtype.itemsize + 4
        if dataset.dtype != np.int8 and {chunk.size for chunk in stored} != {size}:
            raise ValueError(f"{name} has chunks of a wrong size")
    return dataset


def _member(group: Group, name: str, kind: type) -> Any:
    if "/" in name:  # a path, whose first parts may be links to other files
        raise ValueError(f"{name} is a path and not a name")
    if not group.id.links.exists(name.encode()):
        raise KeyError(f"no {name}")
    link = group.id.links.get_info(name.encode())
    # Soft and external links can point outside the group, even to other files.
    member = None
    if link.type == h5py.h5l.TYPE_HARD:
        structures.check_object(group, link.u)
        member = group[name]
    if not isinstance(member, kind):
        raise ValueError(f"{name} is a link or not a {kind.__name__.lower()}")
    return member
