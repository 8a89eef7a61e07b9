"""Edits of HDF5 files: of the bytes of headers, with right checksums, and of what the headers describe."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from benchmarks.fuzz.odd import TEXTS, edited, number_bytes, pick

_BLOCK = 512  # bytes before the content: the digest of the store
_SUPERBLOCK = b"\x89HDF\r\n\x1a\n"
# Structures with a checksum at their end, by their signature: bytes in them.
_LENGTHS = {_SUPERBLOCK: 48, b"FAHD": 28, b"BTHD": 38, b"EAHD": 72, b"FRHP": 146}
_NODES = (b"BTLF", b"BTIN", b"FHIB")  # whose length another structure tells
_MOST = 600  # bytes of such a node
_SIGNATURES = (*_LENGTHS, *_NODES, b"OHDR")


def sealed(content: bytes) -> bytes:
    """Return a file with the digest of its content in its first block, as `verify` expects."""
    digest = hashlib.sha256(content[_BLOCK:]).hexdigest()
    return f"sha256 of all bytes from {_BLOCK} on: {digest}\n".encode().ljust(_BLOCK, b"\0") + content[_BLOCK:]


def edited_header(content: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    """Return a file with a number in one of its headers changed, and the checksum of the header corrected."""
    places = [place for signature in _SIGNATURES for place in _places(content, signature)]
    start = int(pick(rng, places))  # type: ignore[call-overload]
    length = _length(content, start)
    header, found = bytearray(content[start : start + length - 4]), number_bytes(rng)
    at = int(rng.integers(4, len(header)))
    header[at : at + len(found)] = found[: len(header) - at]
    checksum = lookup3(bytes(header)) if rng.random() < 0.9 else 0
    return "header", content[:start] + bytes(header) + checksum.to_bytes(4, "little") + content[start + length :]


def _places(content: bytes, signature: bytes) -> list[int]:
    found, start = [], content.find(signature)
    while start >= 0:
        found.append(start)
        start = content.find(signature, start + 1)
    # Of a node, the length fits, and takes long to find.
    return [place for place in found if signature in _NODES or _length(content, place) <= len(content) - place]


def _length(content: bytes, start: int) -> int:
    """Return the length of a structure with its checksum; of an object header, of its first part."""
    for signature, length in _LENGTHS.items():
        if content.startswith(signature, start):
            return length
    if content.startswith(_NODES, start):
        return _length_by_checksum(content[start : start + _MOST]) or len(content) - start
    flags = content[start + 5]
    head = 6 + 16 * bool(flags & 32) + 4 * bool(flags & 16)
    width = 1 << (flags & 3)
    return head + width + int.from_bytes(content[start + head : start + head + width], "little") + 4


def _length_by_checksum(content: bytes) -> int:
    """Return the length at which the bytes so far end in their checksum, 0 if there is none."""
    ends = range(10, len(content) - 3)
    return next(
        (end + 4 for end in ends if lookup3(content[:end]) == int.from_bytes(content[end : end + 4], "little")), 0
    )


def lookup3(key: bytes) -> int:
    """Return the checksum of HDF5's structures: lookup3 by Bob Jenkins, in the public domain."""
    mask = (1 << 32) - 1
    a = b = c = (0xDEADBEEF + len(key)) & mask

    def turned(value: int, by: int) -> int:
        return (value << by | value >> 32 - by) & mask

    start = 0
    while len(key) - start > 12:
        a, b, c = (
            (value + int.from_bytes(key[start + shift : start + shift + 4], "little")) & mask
            for value, shift in ((a, 0), (b, 4), (c, 8))
        )
        for by in (4, 6, 8, 16, 19, 4):
            a = ((a - c) ^ turned(c, by)) & mask
            c = (c + b) & mask
            a, b, c = b, c, a
        start += 12
    rest = key[start:].ljust(12, b"\0")
    if not len(key) - start:
        return c
    a, b, c = (
        (value + int.from_bytes(rest[shift : shift + 4], "little")) & mask for value, shift in ((a, 0), (b, 4), (c, 8))
    )
    for by in (14, 11, 25, 16, 4, 14, 24):
        c = ((c ^ b) - turned(b, by)) & mask
        a, b, c = b, c, a
    return b


def _soft_link(file: h5py.File, name: str, rng: np.random.Generator) -> None:
    del file[name]
    file[name] = h5py.SoftLink(pick(rng, ("/", "/nowhere", f"/{name}")))


def _external_link(file: h5py.File, name: str, rng: np.random.Generator) -> None:
    del file[name]
    file[name] = h5py.ExternalLink(str(pick(rng, ("other.h5", "/dev/zero", "/etc/passwd"))), "/x")


def _cycle(file: h5py.File, name: str, rng: np.random.Generator) -> None:
    holder = file[name] if isinstance(file[name], h5py.Group) else file.create_group("cycle")
    holder["again"] = file["/"]


def _virtual(file: h5py.File, name: str, rng: np.random.Generator) -> None:
    name = _dataset(file, name)
    shape, dtype = file[name].shape, file[name].dtype
    del file[name]
    layout = h5py.VirtualLayout(shape or (1,), dtype)
    layout[...] = h5py.VirtualSource("/etc/passwd", "x", shape or (1,))
    file.create_virtual_dataset(name, layout)


def _external_data(file: h5py.File, name: str, rng: np.random.Generator) -> None:
    name = _dataset(file, name)
    shape = file[name].shape or (1,)
    del file[name]
    file.create_dataset(name, shape, "i1", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])


def _reference(file: h5py.File, name: str, rng: np.random.Generator) -> None:
    if rng.random() < 0.5:
        file.attrs[str(pick(rng, list(file.attrs)))] = file.ref
    else:
        name = _dataset(file, name)
        del file[name]
        file.create_dataset(name, data=np.array([file.ref] * 3, h5py.ref_dtype))


def _huge(file: h5py.File, name: str, rng: np.random.Generator) -> None:
    name = _dataset(file, name)
    dtype, rank = file[name].dtype, max(1, file[name].ndim)
    shape = [int(pick(rng, (1, 2, 1 << 20, 1 << 40))) for _ in range(rank)]  # type: ignore[call-overload]
    del file[name]
    options = {"fletcher32": True} if rng.random() < 0.5 else {"compression": "gzip"}
    file.create_dataset(name, shape, dtype, chunks=tuple(min(length, 64) for length in shape), **options)


def _bomb(file: h5py.File, name: str, rng: np.random.Generator) -> None:
    name = _dataset(file, name)
    rank = file[name].ndim
    del file[name]
    file.create_dataset(name, data=np.zeros((1 << 22, *[1] * max(0, rank - 1)), "i1"), compression="gzip")


def _other_filter(file: h5py.File, name: str, rng: np.random.Generator) -> None:
    name = _dataset(file, name)
    values = np.atleast_1d(file[name][()])
    del file[name]
    offset = {"scaleoffset": 0} if values.dtype.kind == "i" else {}
    options = pick(rng, ({"compression": "lzf"}, {"shuffle": True}, offset))
    file.create_dataset(name, data=values, chunks=True if values.size else None, **options)  # type: ignore[arg-type]


def _values(file: h5py.File, name: str, rng: np.random.Generator) -> None:
    """Give an array other values, another type or another shape."""
    name = _dataset(file, name)
    old = np.asarray(file[name][()])
    del file[name]
    if old.dtype.kind in "iuf" and rng.random() < 0.4:
        new = np.full_like(old, pick(rng, (np.nan, np.inf, -1, 1e30) if old.dtype.kind == "f" else (-1, 127)))
    elif rng.random() < 0.5:
        new = np.atleast_1d(old)[: int(rng.integers(3))] if rng.random() < 0.5 else np.repeat(np.atleast_1d(old), 2, 0)
    else:
        new = np.zeros(old.shape, pick(rng, ("f8", "u1", "c8", "?", "i8", "S3")))  # type: ignore[call-overload]
    file.create_dataset(name, data=new, chunks=True if new.size and new.ndim else None)


def _texts(file: h5py.File, name: str, rng: np.random.Generator) -> None:
    name = _dataset(file, name)
    length = len(np.atleast_1d(file[name][()]))
    del file[name]
    texts = [str(pick(rng, TEXTS)).replace("\0", "") for _ in range(length)]
    text_type = h5py.string_dtype() if rng.random() < 0.2 else h5py.string_dtype("utf-8", 40)
    file.create_dataset(name, data=np.array([text.encode()[:40] for text in texts], object), dtype=text_type)


def _attribute(file: h5py.File, name: str, rng: np.random.Generator) -> None:
    holder = file[name] if rng.random() < 0.3 and len(file[name].attrs) else file
    key = str(pick(rng, list(holder.attrs)))
    old = holder.attrs[key]
    if rng.random() < 0.2:
        del holder.attrs[key]
    elif isinstance(old, str) and old.startswith("{") and rng.random() < 0.7:
        from benchmarks.fuzz.values import edited_json

        holder.attrs[key] = np.bytes_(edited_json(old.encode(), rng)[1][:60_000].replace(b"\0", b""))
    else:
        odd = (-1, 2**40, 0.5, np.nan, [1, 2], "", "x", np.array([], "i4"), "keyframes", "pairs")
        holder.attrs[key] = pick(rng, odd)


def _names(file: h5py.File, name: str, rng: np.random.Generator) -> None:
    choice = rng.random()
    if choice < 0.4:
        del file[name]
    elif choice < 0.7:
        file.move(name, str(pick(rng, [text for text in TEXTS if text.strip("./") and "\0" not in text])))
    else:
        file.copy(file[name], f"{name}_copy")


EDITS: dict[str, Callable[[h5py.File, str, np.random.Generator], None]] = {
    edit.__name__[1:]: edit
    for edit in (
        *(_soft_link, _external_link, _cycle, _virtual, _external_data, _reference, _huge, _bomb, _other_filter),
        *(_values, _texts, _attribute, _names),
    )
}


def _dataset(file: h5py.File, name: str) -> str:
    """Return the name of a dataset: this one, or the first in this group."""
    found = file[name]
    while isinstance(found, h5py.Group) and len(found):
        name = f"{name}/{min(found)}"
        found = file[name]
    return name


def edited_structure(path: Path, rng: np.random.Generator) -> str:
    """Change what a file contains, in place; return the name of the edit."""
    name = str(pick(rng, list(EDITS)))
    with h5py.File(path, "r+", libver=("v110", "v110")) as file:
        members = sorted(file)
        if members:
            try:
                EDITS[name](file, str(pick(rng, members)), rng)
            except (ValueError, TypeError, KeyError, OSError, RuntimeError, OverflowError):  # not of such an array
                file.attrs["schema"] = -1
    return name


def edit_file(path: Path, rng: np.random.Generator) -> str:
    """Edit a file in place; return the name of the edit."""
    choice = rng.random()
    if choice < 0.45:
        name, content = edited_structure(path, rng), path.read_bytes()
    else:
        name, content = (edited_header if choice < 0.8 else edited)(path.read_bytes(), rng)
    path.write_bytes(sealed(content) if rng.random() < 0.8 else content)
    return name
