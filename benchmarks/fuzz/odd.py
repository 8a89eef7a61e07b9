"""Values at and beyond the edges of what a reader expects, and edits of plain bytes."""

import numpy as np

NUMBERS = (0, 1, 2, 3, 7, 8, 255, 256, 32767, 32768, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1)
TEXTS = (
    *("", " ", ".", "..", "../../etc/passwd", "/etc/passwd", "/dev/zero", "~", "a/../../b", "\\\\host\\share", "C:\\x"),
    *("file:///etc/passwd", "http://127.0.0.1:9/x", "concat:a|b", "data:text/plain,x", "s3://bucket/x", "pipe:0"),
    *("=cmd|' /C calc'!A0", "+1", "-1", "@SUM(1)", "<script>alert(1)</script>", "'; DROP TABLE x; --", "${HOME}"),
    *("%s%n", "\x00", "\x1b[31mred\x1b[0m", "a\rb", "a\nb", "\u202egnp", "\ufeff", "\u2028", "e\u0301", "\xe9"),
    *("\ufb01", "\u0663", "\xb2", "\U0001f600"),
    *("nan", "inf", "-inf", "1e400", "1e-400", "0x10", "1_000", "1,5", "null", "true", "None", "[]", "{}", "|", "a|b"),
    *("9" * 5000, "x" * 5000, "*" * 200, "[" * 200, "(" * 200, "(a+)+$", "(?P<g>", "**/**/**/**/x", "{}{}", "{0}"),
)


def pick(rng: np.random.Generator, values: "tuple | list") -> object:
    """Return one of the values."""
    return values[int(rng.integers(len(values)))]


def number_bytes(rng: np.random.Generator) -> bytes:
    """Return an odd number of 1 to 8 bytes, in either order of bytes."""
    size = 1 << int(rng.integers(4))
    return (int(pick(rng, NUMBERS)) & (1 << 8 * size) - 1).to_bytes(size, "little" if rng.random() < 0.5 else "big")


def _bits(content: bytearray, start: int, length: int, rng: np.random.Generator) -> None:
    for offset in rng.integers(start, len(content), 1 + int(rng.exponential(8))):
        content[offset] ^= 1 << int(rng.integers(8))


def _noise(content: bytearray, start: int, length: int, rng: np.random.Generator) -> None:
    content[start : start + length] = rng.bytes(length)


def _zeros(content: bytearray, start: int, length: int, rng: np.random.Generator) -> None:
    content[start : start + length] = bytes(length)


def _cut(content: bytearray, start: int, length: int, rng: np.random.Generator) -> None:
    del content[start:]


def _hole(content: bytearray, start: int, length: int, rng: np.random.Generator) -> None:
    del content[start : start + length]


def _repeat(content: bytearray, start: int, length: int, rng: np.random.Generator) -> None:
    content[start:start] = content[start : start + length]


def _number(content: bytearray, start: int, length: int, rng: np.random.Generator) -> None:
    found = number_bytes(rng)
    content[start : start + len(found)] = found


EDITS = {edit.__name__[1:]: edit for edit in (_bits, _noise, _zeros, _cut, _hole, _repeat, _number)}


def edited(content: bytes, rng: np.random.Generator, spared: int = 0) -> tuple[str, bytes]:
    """Return the name of an edit and the edited bytes. In most edits, the first `spared` bytes remain."""
    name = str(pick(rng, list(EDITS)))
    size = len(content)
    if not size:
        return "noise", rng.bytes(1 + int(rng.integers(64)))
    start = int(rng.integers(0 if rng.random() < 0.3 else min(spared, size // 2), size))
    changed = bytearray(content)
    EDITS[name](changed, start, int(min(size - start, 1 + rng.exponential(size / 50))), rng)
    return name, bytes(changed)
