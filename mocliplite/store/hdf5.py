"""HDF5 as our files use it: the same content gives the same bytes, and nothing is read unchecked. Alone imports h5py.

A file is built in memory and written at once, so that a full disk is met by Python and not by HDF5. Every byte that
means something is under a checksum which readers test: those of the format's own structures (from version 1.10 on),
fletcher32, or that of a zlib stream. The block before the content has a digest of all bytes, for `verify`.
"""

import hashlib
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import h5py
import numpy as np
from deflate import DeflateError, zlib_compress, zlib_decompress

from mocliplite.errors import UserError
from mocliplite.files import atomic_write, errors_mean_damage

# The layout of all files written here; a reader refuses another.
SCHEMA = 3
LEVEL = 3  # of compression: as fast as LZF, and half the size
# Bytes of a chunk. Some frames of motion are wanted of many, but rows of embeddings all at once (docs/stores.md).
_FRAMES, _ROWS = 1 << 15, 1 << 18
# No zlib stream grows more, so a file that claims to is a bomb.
_GROWTH = 1032
_BLOCK = 512
Arrays = dict[str, np.ndarray]
Settings = Mapping[str, Any]
Group: TypeAlias = h5py.Group


def canonical(value: object) -> str:
    """JSON text, one for equal values."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def head(kind: str, settings: Settings) -> dict[str, Any]:
    """The attributes of a whole file."""
    return {"schema": SCHEMA, "kind": kind, "settings": canonical(settings)}


@contextmanager
def create(path: Path, kind: str, settings: Settings) -> Iterator[Group]:
    """Yield a file in memory to fill; on leaving well it replaces path. Raises UserError where that cannot be written.

    The format's version is pinned, or the bytes would depend on the library's.
    """
    image = io.BytesIO()
    with h5py.File(image, "w", libver=("v110", "v110"), userblock_size=_BLOCK) as file:
        file.attrs.update(head(kind, settings))
        yield file
    content = image.getvalue()[_BLOCK:]
    with atomic_write(path) as partial, partial.open("wb") as out:
        out.write(_digest(content))
        out.write(content)


def intact(path: Path) -> bool:
    """Whether a file is to the byte what was written, also where it holds no value."""
    whole = path.read_bytes()
    return whole[:_BLOCK] == _digest(whole[_BLOCK:])


def _digest(content: bytes) -> bytes:
    """What stands in the block before the content, which HDF5 leaves to its users."""
    return f"sha256 of all bytes from {_BLOCK} on: {hashlib.sha256(content).hexdigest()}\n".encode().ljust(
        _BLOCK, b"\0"
    )


@contextmanager
def reading(path: Path) -> Iterator[Group]:
    """Yield a file of any kind; what goes wrong within means that it is damaged, and is a UserError that says so."""
    # A shared cache may lie on a file system without locks, in files that nobody may write.
    with read_errors_mean_damage(path), h5py.File(path, "r", locking=False) as file:
        yield file


def read_errors_mean_damage(what: str | Path) -> AbstractContextManager[None]:
    """Within it, whatever reading raises means that this file, or part of one, is damaged."""
    return errors_mean_damage(what, OSError, KeyError, ValueError, RuntimeError, DeflateError)


@contextmanager
def opened(path: Path, kind: str | None = None) -> Iterator[Group]:
    """Yield a file of this kind and of today's schema; raises UserError for another."""
    with reading(path) as file:
        schema, held = file.attrs.get("schema"), file.attrs.get("kind")
        if schema != SCHEMA:
            raise UserError(f"{path} has schema {schema}, this version reads {SCHEMA}; make it again: dvc repro -f.")
        if held != (kind or held):
            raise UserError(f"{path} holds {held}, not {kind}; check the path.")
        yield file


def settings_of(file: Group) -> dict[str, Any]:
    """The settings that a file was made with. Raises ValueError where they are none."""
    settings = json.loads(str(file.attrs["settings"]))
    if not isinstance(settings, dict):
        raise ValueError("its settings are no JSON object")
    return settings


def put_arrays(group: Group, arrays: Arrays) -> None:
    """Store arrays in order of name."""
    for name in sorted(arrays):
        put(group, name, arrays[name])


def put(group: Group, name: str, values: np.ndarray | Sequence[str]) -> None:
    """Store one array: int8 packed, all else as it is; text from numpy's str, or a sequence of str."""
    array = values if isinstance(values, np.ndarray) else np.array(values, dtype=str)
    if array.dtype.kind == "U":
        # Of one length: texts of any length lie in a heap, which has no checksum.
        encoded = np.strings.encode(array, "utf-8")
        array = encoded.astype(h5py.string_dtype("utf-8", max(1, encoded.dtype.itemsize)))
    if array.size == 0 or array.ndim == 0:
        # Within the header, which has a checksum; chunks cannot be had.
        compact = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        compact.set_layout(h5py.h5d.COMPACT)
        group.create_dataset(name, data=array, dcpl=compact)
        return
    packed = array.dtype == np.int8
    length = max(1, min(len(array), (_FRAMES if packed else _ROWS) // max(1, array[:1].nbytes)))
    if packed:
        _put_packed(group, name, array, (length, *array.shape[1:]))
    else:
        group.create_dataset(name, data=array, chunks=(length, *array.shape[1:]), fletcher32=True)


def _put_packed(group: Group, name: str, array: np.ndarray, chunks: tuple[int, ...]) -> None:
    """A dataset that any HDF5 reader takes for gzip's; the checksum is the stream's own.

    HDF5's filters will not do. LZF reads memory that it never wrote, so that equal data differ in size now and then,
    and gzip is whatever zlib the system has.
    """
    packing = {"compression": "gzip", "compression_opts": LEVEL}
    dataset = group.create_dataset(name, array.shape, array.dtype, chunks=chunks, **packing)
    for start in range(0, len(array), chunks[0]):
        chunk = np.zeros(chunks, array.dtype)
        part = array[start : start + chunks[0]]
        chunk[: len(part)] = part
        dataset.id.write_direct_chunk((start, *(0 for _ in chunks[1:])), zlib_compress(chunk.tobytes(), LEVEL))


def group_of(group: Group, name: str) -> Group:
    """A group within a group. Raises ValueError for anything else, and KeyError where it is absent."""
    return _member(group, name, h5py.Group)


def get(group: Group, name: str, dtype: str | None = None, *shape: int | None) -> np.ndarray:
    """One array, text as numpy's str. Raises ValueError unless it is such as `put` stores.

    dtype is numpy's name of the expected type, "U" for text. None stands for any length in shape; without a dtype,
    shape is only the first lengths.
    """
    dataset = _dataset(group, name, dtype, shape)
    if h5py.check_string_dtype(dataset.dtype):
        return np.strings.decode(np.asarray(dataset[()]), "utf-8")
    if dataset.dtype == np.int8:
        return _packed_rows(dataset, np.arange(len(dataset)))
    return dataset[()]


def get_rows(group: Group, name: str, rows: Sequence[int] | np.ndarray) -> np.ndarray:
    """Some rows of a packed array, in the order given, each as often as given: only their chunks are read."""
    dataset = _dataset(group, name, "int8", (None, None, None, 2))
    wanted = np.asarray(rows, dtype=np.int64)
    if len(wanted) and not (wanted.min() >= 0 and wanted.max() < len(dataset)):
        raise IndexError(f"rows {wanted.min()} to {wanted.max()} of {len(dataset)}")
    return _packed_rows(dataset, wanted)


def unreadable_rows(group: Group, name: str) -> list[int]:
    """The rows of an array that cannot be read, for a report; slow."""
    dataset, rows = _member(group, name, h5py.Dataset), []
    for row in range(len(dataset)):
        try:
            dataset[row]
        except OSError:
            rows.append(row)
    return rows


def _packed_rows(dataset: h5py.Dataset, rows: np.ndarray) -> np.ndarray:
    """Rows of a packed dataset, chunk by chunk: several times quicker than h5py, which selects row by row."""
    shape = dataset.chunks
    if shape is None:  # no frames at all
        return dataset[()][rows]
    out = np.empty((len(rows), *dataset.shape[1:]), dtype=np.int8)
    if shape[1:] != dataset.shape[1:]:
        raise ValueError(f"{dataset.name} is not in chunks of whole rows")
    places = rows // shape[0]
    for place in np.unique(places):
        mask, packed = dataset.id.read_direct_chunk((int(place) * shape[0], *(0 for _ in shape[1:])))
        if mask:
            raise ValueError(f"{dataset.name} has a chunk that is not packed")
        chunk = np.frombuffer(zlib_decompress(packed, originalsize=math.prod(shape)), dtype=np.int8).reshape(shape)
        here = places == place
        out[here] = chunk[rows[here] - place * shape[0]]
    return out


def _dataset(group: Group, name: str, dtype: str | None, shape: tuple[int | None, ...]) -> h5py.Dataset:
    """A dataset within a group that is to be trusted as far as it can be told without reading it."""
    dataset = _member(group, name, h5py.Dataset)
    text = h5py.check_string_dtype(dataset.dtype)
    held = "U" if text else dataset.dtype.name
    if dataset.dtype.kind not in "iuf" and not (text and text.encoding == "utf-8" and text.length):
        raise ValueError(f"{name} holds {dataset.dtype}, which no store does")
    lengths = dataset.shape if dtype else dataset.shape[: len(shape)]
    fits = len(lengths) == len(shape) and all(b in (None, a) for a, b in zip(lengths, shape, strict=True))
    if dtype not in (None, held) or not fits:
        raise ValueError(f"{name} is {held} {list(dataset.shape)}, not {dtype or 'any type'} {list(shape)}")
    made = dataset.id.get_create_plist()
    filters = {made.get_filter(number)[0] for number in range(made.get_nfilters())}
    if dataset.is_virtual or dataset.external or not filters <= {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_FLETCHER32}:
        raise ValueError(f"{name} lies in other files or needs other filters, as in no store")
    # Else chunks that are not there would be read as zeros, and a small file might ask for all memory.
    if dataset.nbytes > _GROWTH * dataset.id.get_storage_size():
        raise ValueError(f"{name} is {list(dataset.shape)}, more than the file holds")
    if dataset.chunks and dataset.id.get_num_chunks() != math.prod(
        -(-length // chunk) for length, chunk in zip(dataset.shape, dataset.chunks, strict=True)
    ):
        raise ValueError(f"{name} lacks chunks")
    return dataset


def _member(group: Group, name: str, kind: type) -> Any:
    link = group.get(name, getlink=True)
    if link is None:
        raise KeyError(f"no {name}")
    # Soft and external links lead elsewhere, even into other files.
    member = group[name] if isinstance(link, h5py.HardLink) else None
    if not isinstance(member, kind):
        raise ValueError(f"{name} is a link or not a {kind.__name__.lower()}")
    return member
