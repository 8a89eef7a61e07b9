"""Spans of seconds within a file."""

import math
import re
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from mocliplite.errors import UserError


@dataclass(frozen=True)
class Span:
    """The frames of a file displayed from `start` on and before `end`, in seconds from its first frame.

    start: None for the beginning of the file. end: None for its end.
    """

    start: float | None = None
    end: float | None = None

    def __str__(self) -> str:
        """Return, for example, 12.5-15, 0-15 or 12.5-end, without rounding."""
        start, end = self.interval
        return f"{_decimal(start)}-{'end' if self.end is None else _decimal(end)}"

    @property
    def interval(self) -> tuple[float, float]:
        """Start and end as numbers: the beginning of a file is 0, its end infinity."""
        return self.start or 0.0, math.inf if self.end is None else self.end

    @property
    def is_whole_file(self) -> bool:
        """Whether neither start nor end is given."""
        return self.start is None and self.end is None

    def problem(self) -> str:
        """Return why this cannot be a span of any file, as the end of a sentence; empty if it can."""
        for name, value in (("start", self.start), ("end", self.end)):
            if value is not None and not (math.isfinite(value) and value >= 0):
                return f"has the {name} {value:g}; give seconds from the beginning of the file."
        start, end = self.interval
        if end <= start:
            return f"ends at {_decimal(end)} s, but does not start before, at {_decimal(start)} s; correct one of them."
        return ""


WHOLE_FILE = Span()
TEXT = r"([0-9.]+)-([0-9.]+|end)"  # regular expression of a span as text


def span_of(text: str) -> Span:
    """Return the span that a text such as 12.5-15 or 12.5-end means. Raises UserError for another text."""
    match = re.fullmatch(TEXT, text)
    try:
        start, end = match.groups() if match else ("", "")
        span = Span(float(start), None if end == "end" else float(end))
    except ValueError:
        raise UserError(f"{text} is not a span of seconds; write it as 12.5-15 or 12.5-end.") from None
    if problem := span.problem():
        raise UserError(f"the span {text} {problem}")
    return span


def name_of(path: str | Path, span: Span) -> str:
    """Return how error messages name a span of a file."""
    return str(path) if span.is_whole_file else f"{path} ({span} s)"


def _decimal(seconds: float) -> str:
    """Return the shortest decimal number that means the same, without an exponent."""
    return format(Decimal(repr(float(seconds))).normalize(), "f")
