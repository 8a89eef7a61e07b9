"""Checks of an HDF5 file's own structures before HDF5 reads them.

HDF5 2.0 uses the numbers in the headers of B-trees and heaps as they are, so that made-up ones end the process. Stores
have few of its structures, and nearly all of these numbers are the same in each of them. Here is what `whole_file` and
`hdf5` write; anything else is refused. The names of structures and fields are those of the HDF5 File Format
Specification, version 3.0 (docs.hdfgroup.org).
"""

import os
import struct
from collections.abc import Callable, Iterator
from enum import IntEnum
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import h5py

from mocliplite.store.whole_file import USERBLOCK

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_UNDEFINED = (1 << 64) - 1  # the address of what is not there
_SHARED = 2  # flag of a message that is in another place
_COMPACT, _CONTIGUOUS, _CHUNKED = 0, 1, 2  # classes of a layout; the others are in other files
_CHUNK_INDEXES = {1, 3}  # a single chunk, and a fixed array of chunks
_NODE = 512  # bytes of a node of a B-tree
_MAX_DEPTH = 4  # of a B-tree: hundreds of thousands of members
_MAX_HEADER = 1 << 20  # bytes of an object header: a few messages, of 64 KiB at most
_Read: TypeAlias = Callable[[int, int], bytes]  # of a number of bytes, from a place in the file on


class _Message(IntEnum):
    """Types of the messages that the object headers of stores have."""

    NIL = 0
    DATASPACE = 1
    LINK_INFO = 2
    DATATYPE = 3
    FILL_VALUE = 5
    LINK = 6
    LAYOUT = 8
    GROUP_INFO = 10
    FILTERS = 11
    ATTRIBUTE = 12
    CONTINUATION = 16
    ATTRIBUTE_INFO = 21


_KNOWN = frozenset(_Message)
_REPEATED = {_Message.NIL, _Message.LINK, _Message.ATTRIBUTE, _Message.CONTINUATION}


class _Names(NamedTuple):
    """Where the names of members or of attributes are if there are many: in a heap, with a B-tree of their hashes."""

    tree_type: int
    record: int  # bytes of a record of the tree
    id_length: int  # bytes of an ID of the heap
    block: int  # bytes of the first block of the heap
    size_bits: int  # base-2 logarithm of the largest size of the heap


_HUGE_TYPE, _HUGE_RECORD = 1, 24  # of the tree of what is too long for the blocks of a heap
_ATTRIBUTES, _FLAGS = 8, 8  # type of the tree of attributes, and where its records have the flags of a message
_NAMES = {_Message.LINK_INFO: _Names(5, 11, 7, 512, 32), _Message.ATTRIBUTE_INFO: _Names(_ATTRIBUTES, 17, 8, 1024, 40)}


def check_root(file: h5py.File) -> None:
    """Check the root group of a file, see check_object, and that the file has the format of stores.

    To be called before anything is read from the file.
    """
    read = _reader(file)
    if read(len(_SIGNATURE), 0) == _SIGNATURE:  # HDF5 looks for the superblock there first
        raise ValueError("it has no block with a digest at its beginning")
    content = _bytes(read, 0, 48)
    signature, version, offsets, lengths, _, base, extension, _, root = _unpack("<8s4B4Q", content)
    if (signature, version, offsets, lengths, base, extension) != (_SIGNATURE, 3, 8, 8, USERBLOCK, _UNDEFINED):
        raise ValueError("its superblock is not as in stores")
    check_object(file, root)


def check_object(group: h5py.Group, address: int) -> None:
    """Check the object at an address of the file of a group. Raises ValueError if it is not as stores have it.

    To be called before HDF5 opens it.
    """
    read, found = _reader(group), dict[int, bytes]()
    for kind, content in _messages(read, address):
        if kind in found and kind not in _REPEATED:
            raise ValueError(f"it has several messages of type {kind}, of which stores have one")
        found[kind] = content
    if _Message.LAYOUT in found:
        _check_array(found.get(_Message.DATASPACE, b""), found.get(_Message.DATATYPE, b""), found[_Message.LAYOUT])
    for kind in _NAMES.keys() & found.keys():
        version, flags, heap, tree = _unpack("<2B2Q", found[kind])
        if version or flags:
            raise ValueError("its members have an order, which stores do not use")
        if (heap, tree) != (_UNDEFINED, _UNDEFINED):
            names = _NAMES[kind]
            _check_heap(read, heap, names)
            _check_tree(read, tree, names.tree_type, names.record)


def _messages(read: _Read, address: int) -> Iterator[tuple[int, bytes]]:
    """Yield type and content of the messages of the object header at an address."""
    signature, version, flags, length = _unpack("<4s2BI", _bytes(read, address, 10))
    if (signature, version) != (b"OHDR", 2) or flags > 2:  # of times, of orders, of 4 GiB
        raise ValueError("it has an object header that stores do not use")
    width = 1 << flags  # of the length
    blocks = [(address + 6 + width, length & (1 << 8 * width) - 1)]
    left = _MAX_HEADER
    for start, length in blocks:  # which grow: a message can tell where the next are
        left -= length
        if left < 0:
            raise ValueError("it has an object header that is too long for a store")
        content, place = _bytes(read, start, length), 0
        while place + 4 <= length:
            kind, size, of_message = _unpack("<BHB", content, place)
            message = content[place + 4 : place + 4 + size]
            if kind not in _KNOWN or of_message & _SHARED:
                raise ValueError(f"it has a message of type {kind}, which stores do not use")
            if kind == _Message.CONTINUATION:
                at, size_with_ends = _unpack("<2Q", message)
                blocks.append((at + 4, size_with_ends - 8))  # without signature and checksum
            yield kind, message
            place += 4 + size


def _check_array(space: bytes, datatype: bytes, layout: bytes) -> None:
    """Check that the values of an array are in the file, that its chunks fit its shape, and are in no tree.

    HDF5 looks for the chunks of an array that can grow by the size that it could have, and takes the size of a value
    from its layout.
    """
    version, rank, has_limits = _unpack("<3B", space)
    lengths = _unpack(f"<{rank}Q", space, 4)
    if version != 2 or (has_limits and _unpack(f"<{rank}Q", space, 4 + 8 * rank) != lengths):
        raise ValueError("it has an array that can grow, which stores do not use")
    version, kind = _unpack("<2B", layout)
    known = version in (3, 4) and kind in (_COMPACT, _CONTIGUOUS)
    if (version, kind) == (4, _CHUNKED):
        dimensions, width = _unpack("<2B", layout, 3)
        ends = range(5, 5 + dimensions * width, width) if width else ()
        *chunk, size = (int.from_bytes(layout[end : end + width], "little") for end in ends)
        (index,) = _unpack("<B", layout, 5 + dimensions * width)
        fits = len(chunk) == rank and all(0 < part <= whole for part, whole in zip(chunk, lengths, strict=True))
        known = fits and (size,) == _unpack("<I", datatype, 4) and index in _CHUNK_INDEXES
    if not known:
        raise ValueError("it has an array that is kept as stores do not keep arrays")


def _check_heap(read: _Read, address: int, names: _Names) -> None:
    """Check the header of a fractal heap: only its addresses, its use and its rows differ from heap to heap."""
    content = _bytes(read, address, 146)
    of_ids = struct.pack("<4sB2HBI", b"FRHP", 0, names.id_length, 0, 2, 4096)
    of_table = struct.pack("<2QH2Q2H", 0, 0, 4, names.block, 65536, names.size_bits, 1)
    (huge,), (rows,) = _unpack("<Q", content, 22), _unpack("<H", content, 140)
    most_rows = names.size_bits - names.block.bit_length()
    if content[:14] != of_ids or content[94:132] != of_table or rows > most_rows:
        raise ValueError("it has a heap of names that is not as in stores")
    if huge != _UNDEFINED:
        _check_tree(read, huge, _HUGE_TYPE, _HUGE_RECORD)


def _check_tree(read: _Read, address: int, tree_type: int, record: int) -> None:
    """Check that the nodes of a B-tree, version 2, have place for their records, and that no attribute is elsewhere."""
    content = _bytes(read, address, 38)
    expected = struct.pack("<4s2BIH", b"BTHD", 0, tree_type, _NODE, record)
    depth, split, merge, root, records = _unpack("<H2BQH", content, 12)
    if content[:12] != expected or (split, merge) != (100, 40) or depth > _MAX_DEPTH:
        raise ValueError("it has a tree of names that is not as in stores")
    most, widths = _places(record, depth)
    nodes = {(root, records)}
    for level in range(depth, -1, -1):
        children: set[tuple[int, int]] = set()
        for node, count in nodes:
            if count > most[level]:
                raise ValueError("it has a tree of names with more of them than it has place for")
            pointers = 6 + count * record
            content = _bytes(read, node, pointers + bool(level) * (count + 1) * widths[level])
            if tree_type == _ATTRIBUTES and any(content[6 + _FLAGS : pointers : record]):
                raise ValueError("it has an attribute that is in another place")
            for start in range(pointers, len(content), widths[level] or 1):
                child, of_child = _unpack("<QB", content, start)
                children.add((child, of_child))
        nodes = children


def _places(record: int, depth: int) -> tuple[list[int], list[int]]:
    """Return the most records of a node, and the bytes of a pointer to a child, for each level from the leaves up."""
    most, widths, below = [(_NODE - 10) // record], [0], 0
    in_all = most[0]
    for _ in range(depth):
        widths.append(8 + 1 + below)
        most.append((_NODE - 10 - widths[-1]) // (record + widths[-1]))
        in_all = (most[-1] + 1) * in_all + most[-1]
        below = (in_all.bit_length() + 7) // 8
    return most, widths


def _reader(group: h5py.Group) -> _Read:
    """Return a function that reads from the file of a group."""
    file = h5py.h5i.get_file_id(group.id)
    if hasattr(os, "pread"):
        return partial(os.pread, file.get_vfd_handle())

    def read_on_windows(length: int, start: int) -> bytes:
        with Path(os.fsdecode(h5py.h5f.get_name(file))).open("rb") as again:  # an open file is not replaced there
            again.seek(start)
            return again.read(length)

    return read_on_windows


def _bytes(read: _Read, address: int, length: int) -> bytes:
    """Return bytes of a file; addresses are counted from the end of its user block."""
    start = USERBLOCK + address
    content = read(length, start) if 0 <= length <= _MAX_HEADER and start < 1 << 63 else b""
    if len(content) < max(1, length):
        raise ValueError("it refers to bytes that it does not have")
    return content


def _unpack(template: str, content: bytes, start: int = 0) -> tuple[Any, ...]:
    """Return the fields at a place in some bytes. Raises ValueError if there are too few."""
    try:
        return struct.unpack_from(template, content, start)
    except struct.error as error:
        raise ValueError(f"one of its headers is too short ({error})") from None
