"""Edits of JSON, YAML, CSV and safetensors: odd values at any place, and odd syntax."""

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import yaml

from benchmarks.fuzz.odd import NUMBERS, TEXTS, edited, number_bytes, pick

# In place of a value. The last are no JSON by the standard, but Python writes and reads them.
_VALUES = (
    *(None, True, False, [], {}, [[]], [None], {"": None}, {"a": {"b": [1]}}),
    *(0, 1, -1, 0.5, -0.5, 1e308, 1e-308, 10**30, 2**31, 2**63, *NUMBERS, float("nan"), float("inf")),
)
_YAML = (
    *("!!python/object/apply:os.system [id]", "!!binary aGk=", "!x y", "*a", "&a [*a]", "{<<: *b}", "2001-02-30"),
    *("2001-01-01", "0o17", "1:30", "yes", "~", "---", "...", "? a", "- - - -", "{" * 300, "[" * 300, "'", '"\\x'),
    *("\t", "|", ">", "%YAML 9.9", "@", "`", "!!float x", "9" * 5000, "\u0085", "{a: 1, a: 2}"),
)


def edited_value(value: Any, rng: np.random.Generator) -> Any:
    """Return a nested value with one place changed, removed, repeated or added."""
    places = list(_places(value))
    if not places or rng.random() < 0.02:
        return odd_value(rng)
    holder, key = pick(rng, places)  # type: ignore[misc]
    choice = int(rng.integers(10))
    if choice == 0:
        del holder[key]
    elif choice == 1 and isinstance(holder, dict):
        holder[f"{key}x" if rng.random() < 0.5 else pick(rng, TEXTS)] = holder.pop(key)
    elif choice == 1:
        holder.insert(key, holder[key])
    elif choice == 2 and isinstance(holder[key], int | float):
        holder[key] = -holder[key]
    elif choice == 3 and isinstance(holder[key], list) and holder[key]:
        holder[key] = holder[key] * int(pick(rng, (2, 1000)))  # type: ignore[call-overload]
    else:
        holder[key] = odd_value(rng)
    return value


def odd_value(rng: np.random.Generator) -> Any:
    return pick(rng, _VALUES if rng.random() < 0.6 else TEXTS)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield (dict or list, key or index) of every place in a nested value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield value, key
        yield from _places(item)


def edited_json(content: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    """Return the name of an edit and the edited JSON file."""
    if rng.random() < 0.75:
        value = edited_value(json.loads(content), rng)
        return "value", json.dumps(value, ensure_ascii=bool(rng.random() < 0.5)).encode("utf-8", "surrogatepass")
    syntax: tuple[bytes, ...] = (b"[" * 100_000, b"", b"null", b"[]", b'"x"', b"1", b"\xff", b"\xef\xbb\xbf" + content)
    syntax = (*syntax, b"9" * 10_000, content[:-2], content + b"}", b'{"a":' * 5000, b'{"\\ud800": "\\udfff"}')
    return ("syntax", pick(rng, syntax)) if rng.random() < 0.5 else edited(content, rng)  # type: ignore[return-value]


def edited_yaml(content: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    """Return the name of an edit and the edited settings file."""
    choice = rng.random()
    if choice < 0.6:
        value = edited_value(yaml.safe_load(content), rng)
        return "value", yaml.safe_dump(value, allow_unicode=bool(rng.random() < 0.5)).encode("utf-8", "surrogatepass")
    if choice < 0.85:
        lines = content.decode().split("\n")
        number = int(rng.integers(len(lines)))
        key, colon, _ = lines[number].partition(": ")
        lines[number] = f"{key}{colon or ': '}{pick(rng, _YAML)}" if rng.random() < 0.8 else str(pick(rng, _YAML))
        return "syntax", "\n".join(lines).encode()
    return edited(content, rng)


def edited_lines(content: bytes, rng: np.random.Generator, separator: str = ",") -> tuple[str, bytes]:
    """Return the name of an edit and the edited table or list."""
    if rng.random() < 0.2:
        return edited(content, rng)
    rows = [line.split(separator) for line in content.decode().split("\n")]
    row = rows[0] if rng.random() < 0.15 else pick(rng, rows)
    assert isinstance(row, list)
    column = int(rng.integers(len(row)))
    name = str(pick(rng, ("cell", "cell", "cell", "row", "column", "ends", "quote")))
    if name == "cell":
        text = str(pick(rng, TEXTS))
        row[column] = pick(rng, (text, f"{row[column]}{text}", f"{text}/{row[column]}", _quoted(text)))  # type: ignore[call-overload]
    elif name == "row":
        position = int(rng.integers(len(rows)))
        rows[position:position] = [row] * int(pick(rng, (1, 3)))  # type: ignore[call-overload]
        if rng.random() < 0.5:
            del rows[position]
    elif name == "column":
        for one in rows:
            one.insert(min(column, len(one)), str(pick(rng, TEXTS))) if rng.random() < 0.5 else one.pop()
    elif name == "quote":
        row[column] = f'"{row[column]}'
    text = "\n".join(separator.join(one) for one in rows)
    if name == "ends":
        text = text.replace("\n", str(pick(rng, ("\r\n", "\r", "\n\n", "\x00\n", "\u2028", "\x0b", " \n"))))
    encoding = "utf-16" if rng.random() < 0.02 else "utf-8"
    return name, text.encode(encoding, "surrogatepass")


def _quoted(text: str) -> str:
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="").writerow([text])
    return out.getvalue()


def edited_safetensors(content: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    """Return the name of an edit and the edited file: of its header, of a type, or of the values."""
    size = int.from_bytes(content[:8], "little")
    header, values = json.loads(content[8 : 8 + size]), content[8 + size :]
    choice = rng.random()
    if choice < 0.1:
        return "length", number_bytes(rng).ljust(8, b"\0") + content[8:]
    if choice < 0.2:
        return edited(content, rng, spared=8)
    name = str(pick(rng, list(header)))
    tensor = header[name]
    if choice < 0.35 and "dtype" in tensor:
        tensor["dtype"] = pick(rng, ("F64", "F16", "BF16", "F8_E4M3", "I8", "U8", "BOOL", "C64", "x", "", None))
        edit = "type"
    elif choice < 0.55 and "shape" in tensor:
        tensor["shape"] = pick(
            rng, ([], [1], [0], [2**40, 2**40], [-1], tensor["shape"][::-1], [*tensor["shape"], 1], [1.5], None)
        )
        edit = "shape"
    elif choice < 0.7:  # numbers that are none
        at = int(rng.integers(max(1, len(values) - 8)))
        odd = pick(rng, (b"\0\0\xc0\x7f", b"\0\0\x80\x7f", b"\0\0\x80\xff", b"\xff\xff\x7f\x7f"))
        values = values[:at] + odd * 2 + values[at + 8 :] if len(values) >= 8 else values  # type: ignore[operator]
        edit = "values"
    else:
        header, edit = edited_value(header, rng), "header"
    text = json.dumps(header).encode("utf-8", "surrogatepass")
    return edit, len(text).to_bytes(8, "little") + text + values
