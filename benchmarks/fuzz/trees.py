"""Formats whose files are trees of named, sized parts: MP4, AVI, Matroska and protobuf; and edits of such trees."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.fuzz.odd import NUMBERS, edited, number_bytes, pick

_MP4 = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"dinf", b"udta", b"mvex", b"moof", b"traf"}
_AVI = {b"RIFF", b"LIST"}
_MATROSKA = {
    *(bytes.fromhex(name) for name in ("1a45dfa3", "18538067", "1654ae6b", "1f43b675", "1549a966", "114d9b74")),
    *(bytes.fromhex(name) for name in ("1c53bb6b", "ae", "a0", "e0", "bb", "b7", "4dbb")),
}
_SMALL = 4096  # bytes of a part that is probably a header


@dataclass
class Node:
    """A part of a file. Without a name, its content is written as it is."""

    name: bytes
    content: "bytes | list[Node]"
    size: int | None = None  # that its header claims, if not the right one


Parse = Callable[[bytes], list[Node]]
Build = Callable[[list[Node]], bytes]


def parse_mp4(content: bytes) -> list[Node]:
    nodes, start = [], 0
    while len(content) - start >= 8:
        size, name, head = int.from_bytes(content[start : start + 4], "big"), content[start + 4 : start + 8], 8
        if size == 1:
            size, head = int.from_bytes(content[start + 8 : start + 16], "big"), 16
        if not head <= size <= len(content) - start:
            break
        body = content[start + head : start + size]
        nodes.append(Node(name, parse_mp4(body) if name in _MP4 else body))
        start += size
    return [*nodes, Node(b"", content[start:])] if start < len(content) else nodes


def build_mp4(nodes: list[Node]) -> bytes:
    def part(node: Node, body: bytes) -> bytes:
        size = len(body) + 8 if node.size is None else node.size
        if size < 1 << 32:
            return size.to_bytes(4, "big") + node.name[:4].ljust(4) + body
        return (1).to_bytes(4, "big") + node.name[:4].ljust(4) + (size & (1 << 64) - 1).to_bytes(8, "big") + body

    return _build(nodes, part)


def parse_avi(content: bytes) -> list[Node]:
    nodes, start = [], 0
    while len(content) - start >= 8:
        name, size = content[start : start + 4], int.from_bytes(content[start + 4 : start + 8], "little")
        if size > len(content) - start - 8:
            break
        body = content[start + 8 : start + 8 + size]
        nodes.append(Node(name, [Node(b"", body[:4]), *parse_avi(body[4:])] if name in _AVI else body))
        start += 8 + size + size % 2
    return [*nodes, Node(b"", content[start:])] if start < len(content) else nodes


def build_avi(nodes: list[Node]) -> bytes:
    def part(node: Node, body: bytes) -> bytes:
        size = (len(body) if node.size is None else node.size) & (1 << 32) - 1
        return node.name[:4].ljust(4) + size.to_bytes(4, "little") + body + bytes(len(body) % 2)

    return _build(nodes, part)


def parse_matroska(content: bytes) -> list[Node]:
    nodes, start = [], 0
    while start < len(content):
        name_size = _vint_length(content[start])
        size_at = start + name_size
        if name_size > 4 or size_at >= len(content):
            break
        length = _vint_length(content[size_at])
        body_at = size_at + length
        size = int.from_bytes(content[size_at:body_at], "big") - (1 << 7 * length)
        if length > 8 or not 0 <= size <= len(content) - body_at:
            break
        name, body = content[start:size_at], content[body_at : body_at + size]
        nodes.append(Node(name, parse_matroska(body) if name in _MATROSKA else body))
        start = body_at + size
    return [*nodes, Node(b"", content[start:])] if start < len(content) else nodes


def build_matroska(nodes: list[Node]) -> bytes:
    def part(node: Node, body: bytes) -> bytes:
        size = (len(body) if node.size is None else node.size) & (1 << 56) - 1
        return node.name + (size | 1 << 56).to_bytes(8, "big") + body

    return _build(nodes, part)


def _vint_length(first: int) -> int:
    return 9 - first.bit_length()


def parse_protobuf(content: bytes, depth: int = 0) -> list[Node]:
    """Return the fields of a message. A field that may be a message is parsed as one. Raises ValueError for others."""
    nodes, start = [], 0
    while start < len(content):
        tag, body_at = _varint(content, start)
        name, kind = content[start:body_at], tag & 7
        if not tag >> 3 or kind not in (0, 1, 2, 5):
            raise ValueError("no message")
        if kind == 2:
            size, body_at = _varint(content, body_at)
        else:
            size = {0: _varint(content, body_at)[1] - body_at, 1: 8, 5: 4}[kind]
        body = content[body_at : body_at + size]
        if len(body) < size:
            raise ValueError("no message")
        try:
            inner = parse_protobuf(body, depth + 1) if kind == 2 and size and depth < 5 else body
        except ValueError:
            inner = body
        nodes.append(Node(name, inner))
        start = body_at + size
    return nodes


def build_protobuf(nodes: list[Node]) -> bytes:
    def part(node: Node, body: bytes) -> bytes:
        if node.name[0] & 7 != 2:
            return node.name + body
        return node.name + _varint_bytes(len(body) if node.size is None else node.size) + body

    return _build(nodes, part)


def _varint(content: bytes, start: int) -> tuple[int, int]:
    """Return a number and where it ends."""
    value = 0
    for place, byte in enumerate(content[start : start + 10]):
        value |= (byte & 127) << 7 * place
        if byte < 128:
            return value, start + place + 1
    raise ValueError("no message")


def _varint_bytes(value: int) -> bytes:
    groups = [value >> shift & 127 for shift in range(0, max(7, value.bit_length()), 7)]
    return bytes([*(group | 128 for group in groups[:-1]), groups[-1]])


def _build(nodes: list[Node], part: Callable[[Node, bytes], bytes]) -> bytes:
    parts = []
    for node in nodes:
        body = _build(node.content, part) if isinstance(node.content, list) else node.content
        parts.append(part(node, body) if node.name else body)
    return b"".join(parts)


FORMATS: dict[str, tuple[Parse, Build]] = {
    "mp4": (parse_mp4, build_mp4),
    "avi": (parse_avi, build_avi),
    "mkv": (parse_matroska, build_matroska),
    "onnx": (parse_protobuf, build_protobuf),
}


def _walk(nodes: list[Node]) -> Iterator[tuple[list[Node], int]]:
    for position, node in enumerate(nodes):
        yield nodes, position
        if isinstance(node.content, list):
            yield from _walk(node.content)


def _drop(siblings: list[Node], position: int, root: list[Node], rng: np.random.Generator) -> None:
    del siblings[position]


def _repeat(siblings: list[Node], position: int, root: list[Node], rng: np.random.Generator) -> None:
    small = isinstance(siblings[position].content, bytes) and len(siblings[position].content) < 256
    siblings[position:position] = [siblings[position]] * (1000 if small and rng.random() < 0.3 else 1)


def _swap(siblings: list[Node], position: int, root: list[Node], rng: np.random.Generator) -> None:
    others, other = pick(rng, list(_walk(root)))  # type: ignore[misc]
    first, second = siblings[position], others[other]
    siblings[position], others[other] = replace(second), replace(first)
    if isinstance(first.content, list) or isinstance(second.content, list):  # one may be inside of the other
        siblings[position] = Node(second.name, b"")


def _rename(siblings: list[Node], position: int, root: list[Node], rng: np.random.Generator) -> None:
    names = [others[other].name for others, other in _walk(root) if others[other].name]
    old = siblings[position]
    siblings[position] = replace(old, name=pick(rng, names) if names and rng.random() < 0.8 else rng.bytes(4))  # type: ignore[arg-type]


def _nest(siblings: list[Node], position: int, root: list[Node], rng: np.random.Generator) -> None:
    containers = [others[other].name for others, other in _walk(root) if isinstance(others[other].content, list)]
    name = pick(rng, containers) if containers else siblings[position].name
    for _ in range(int(pick(rng, (1, 2, 10, 200)))):  # type: ignore[call-overload]
        siblings[position] = Node(name, [siblings[position]])  # type: ignore[arg-type]


def _graft(siblings: list[Node], position: int, root: list[Node], rng: np.random.Generator) -> None:
    node = siblings.pop(position)
    lists = [root, *(others[other].content for others, other in _walk(root))]
    target = pick(rng, [found for found in lists if isinstance(found, list)])
    target.insert(int(rng.integers(len(target) + 1)), node)  # type: ignore[attr-defined, arg-type]


def _size(siblings: list[Node], position: int, root: list[Node], rng: np.random.Generator) -> None:
    siblings[position] = replace(siblings[position], size=int(pick(rng, NUMBERS)))  # type: ignore[call-overload]


def _field(siblings: list[Node], position: int, root: list[Node], rng: np.random.Generator) -> None:
    leaves = [(others, other) for others, other in _walk(root) if isinstance(others[other].content, bytes)]
    small = [(others, other) for others, other in leaves if 0 < len(others[other].content) <= _SMALL]
    if small:
        others, other = pick(rng, small)  # type: ignore[misc]
        content, found = bytearray(others[other].content), number_bytes(rng)
        start = int(rng.integers(len(content)))
        content[start : start + len(found)] = found[: len(content) - start]
        others[other] = replace(others[other], content=bytes(content))


def _bytes(siblings: list[Node], position: int, root: list[Node], rng: np.random.Generator) -> None:
    leaves = [(others, other) for others, other in _walk(root) if isinstance(others[other].content, bytes)]
    if leaves:
        others, other = pick(rng, leaves)  # type: ignore[misc]
        others[other] = replace(others[other], content=edited(others[other].content, rng)[1])


EDITS = {edit.__name__[1:]: edit for edit in (_drop, _repeat, _swap, _rename, _nest, _graft, _size, _bytes)}


def edited_tree(content: bytes, kind: str, rng: np.random.Generator) -> tuple[str, bytes]:
    """Return the name of an edit of a part and the edited file. All sizes are right, except of the edit `size`."""
    parse, build = FORMATS[kind]
    root = parse(content)
    places = list(_walk(root))
    if not places:  # an edit before this one has removed all parts
        return edited(content, rng)
    # Most errors are those of a single value.
    name = "field" if rng.random() < 0.4 else str(pick(rng, list(EDITS)))
    siblings, position = pick(rng, places)  # type: ignore[misc]
    {**EDITS, "field": _field}[name](siblings, position, root, rng)
    return name, build(root)


def with_edit_list(content: bytes, rng: np.random.Generator) -> bytes:
    """Return an MP4 file whose tracks have an edit list of odd entries."""
    root = parse_mp4(content)
    entries = [
        number(rng, 4) + number(rng, 4) + bytes.fromhex("00010000") * (rng.random() < 0.7) or number(rng, 4)
        for _ in range(int(rng.integers(6)))
    ]
    count = len(entries) if rng.random() < 0.7 else int.from_bytes(number(rng, 4), "big")
    box = Node(b"edts", [Node(b"elst", bytes(4) + count.to_bytes(4, "big") + b"".join(entries))])
    for siblings, position in list(_walk(root)):
        node = siblings[position]
        if node.name == b"trak" and isinstance(node.content, list):
            node.content[:] = [child for child in node.content if child.name != b"edts"]
            node.content.insert(min(1, len(node.content)), box)
    return build_mp4(root)


def number(rng: np.random.Generator, size: int) -> bytes:
    """Return an odd or a small number of so many bytes."""
    value = int(pick(rng, NUMBERS)) if rng.random() < 0.5 else int(rng.integers(1000))  # type: ignore[call-overload]
    return (value & (1 << 8 * size) - 1).to_bytes(size, "big")
