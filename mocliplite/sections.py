"""Sections of params.yaml: from mappings to frozen dataclasses, whose annotations say which values are right."""

from collections.abc import Collection
from dataclasses import MISSING, fields, is_dataclass
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from mocliplite.errors import UserError

FILE = "params.yaml"
Section = TypeVar("Section")

_MAX_INT = 2**31 - 1  # accepted by all libraries
_EXPECTED = {int: "a whole number such as 256", float: "a number such as 1.0e-4", bool: "true or false", str: "text"}
# Renamed settings, by the earlier name.
_RENAMED = {
    "clip": "encoder",
    "motion.cell": "motion.cell_size",
    "motion_net.camera": "motion_net.remove_global_motion",
    "motion_net.pace": "motion_net.speed_jitter",
    "motion_net.trim": "motion_net.temporal_crop",
    "head.drop_stream": "head.stream_dropout",
}
_RENAMED_VALUES = {("motion_net.arch", "grid"): "motion_histogram"}

_SHOWN = 200  # characters of a wrong key or value


def require(condition: bool, key: str, value: object, expected: str) -> None:
    """Raise UserError that names the key, its value and what is expected, unless the condition holds."""
    if not condition:
        raise UserError(f"{FILE}: {key} is {_shortened(repr(value))}; it must be {expected}.")


def require_at_least(section: object, name: str, **limits: int) -> None:
    """Raise UserError for a number below its limit."""
    for key, limit in limits.items():
        require(getattr(section, key) >= limit, f"{name}.{key}", getattr(section, key), f"at least {limit}")


def require_at_most(section: object, name: str, **limits: int) -> None:
    """Raise UserError for a number that no machine has the memory or the time for."""
    for key, limit in limits.items():
        require(getattr(section, key) <= limit, f"{name}.{key}", getattr(section, key), f"at most {limit}")


def section(kind: type[Section], name: str, given: object) -> Section:
    """Return one section, or all of them if name is empty.

    Raises UserError, with the full name of the key, for a wrong, unknown or missing key.
    """
    types = get_type_hints(kind)
    if not isinstance(given, dict):
        raise UserError(f"{FILE}: {name} is {_shortened(repr(given))}; it must have the keys {', '.join(types)}.")
    optional = {field.name for field in fields(kind) if field.default is not MISSING}  # type: ignore[arg-type]
    prefix = f"{name}." if name else ""
    _check_keys(given, list(types), prefix, optional)
    return kind(**{key: _convert(types[key], f"{prefix}{key}", value) for key, value in given.items()})


def _check_keys(given: dict[str, Any], known: list[str], prefix: str, optional: Collection[str]) -> None:
    """Raise UserError for the first renamed, unknown or missing key."""
    for key in given:
        if f"{prefix}{key}" in _RENAMED:
            raise UserError(f"{FILE}: {prefix}{key} is now called {_RENAMED[f'{prefix}{key}']}; rename it.")
        if key not in known:
            shown = _shortened(str(key))
            nearest = get_close_matches(shown, known, n=1, cutoff=0)[0]
            raise UserError(f"{FILE}: {prefix}{shown} is not a setting; the nearest is {prefix}{nearest}.")
    for key in known:
        if key not in given and key not in optional:
            raise UserError(f"{FILE}: {prefix}{key} is missing; add it, as in the files in configs/.")


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _convert(kind: Any, key: str, value: Any) -> Any:
    """Return the value as its declared type: int, float, bool, str, Literal, section, `X | None`, `tuple[X, ...]`."""
    null = NoneType in get_args(kind)
    if get_origin(kind) in (UnionType, Union):
        if value is None and null:
            return None
        # A mapping is for the part that is a section.
        parts = [part for part in get_args(kind) if part is not NoneType]
        kind = next((part for part in parts if is_dataclass(part) == isinstance(value, dict)), parts[0])
    if isinstance(kind, type) and is_dataclass(kind):
        return section(kind, key, value)
    if get_origin(kind) is Literal:
        choices = get_args(kind)
        renamed = _RENAMED_VALUES.get((key, str(value)))
        near = [renamed] if renamed else get_close_matches(str(value), map(str, choices), n=1)
        hint = f"; {'it is now called' if renamed else 'the nearest is'} {near[0]}" if near else ""
        # `in` alone would accept True for 1.
        allowed = any(value == choice and type(value) is type(choice) for choice in choices)
        require(allowed, key, value, " or ".join([*["null"] * null, *map(str, choices)]) + hint)
        return value
    if get_origin(kind) is tuple:
        require(isinstance(value, list), key, value, "a list such as [plain, flip]")
        return tuple(_convert(get_args(kind)[0], key, item) for item in value)
    if kind is float:
        return _number(key, value)
    # isinstance would accept True as an int.
    require(type(value) is kind, key, value, _EXPECTED[kind])
    if kind is str:  # no path can contain it
        require("\0" not in value, key, value, "text without the character NUL, \\0")
    if kind is int:
        require(abs(value) <= _MAX_INT, key, value, f"at most {_MAX_INT}")
    return value


def _number(key: str, value: Any) -> float:
    """Return a finite number. YAML reads 1e-05, as DVC and Python write it, as text, so text is accepted too."""
    try:
        number = float(value) if type(value) in (int, float, str) else float("nan")
    except (ValueError, OverflowError):
        number = float("nan")
    require(abs(number) < float("inf"), key, value, _EXPECTED[float])
    return number
