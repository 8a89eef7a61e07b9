"""What may come of an input: it is used, is a row of failures, or is refused with a sentence. All else is an error."""

import contextlib
import io
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from mocliplite.cli import _main
from mocliplite.errors import UserError, run

ACCEPTED, FAILED, REFUSED = "accepted", "row of failures", "sentence"
TRACEBACK, HANG, LOST, OTHER = "traceback", "hang", "lost clip", "no sentence"
ERRORS = (TRACEBACK, HANG, LOST, OTHER)
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class Outcome(NamedTuple):
    """An outcome, and the sentence or the reason of it."""

    kind: str
    text: str = ""


def refused(error: UserError) -> Outcome:
    """Return the outcome of an error sentence."""
    return sentence(str(error))


def sentence(text: str) -> Outcome:
    """Return the outcome of the text of an error: it must end as a sentence does, and be no traceback."""
    ends = text.rstrip().endswith((".", "more", "…", "`", ")", '"'))
    return Outcome(REFUSED if ends and "Traceback" not in text and len(text) < 20_000 else OTHER, text)


def command(arguments: Sequence[str]) -> tuple[Outcome, str]:
    """Run a command of the command line in this process; return its outcome and what it printed."""
    with _captured() as (out, err):
        status = 0
        try:
            run(lambda: _main.main(arguments), status=2)
        except SystemExit as end:
            status = int(end.code or 0)
    printed, complaint = out(), err()
    if _CONTROL.search(printed) or _CONTROL.search(complaint.replace("\r", "")):
        return Outcome(OTHER, "control characters were printed"), printed
    if status == 0:
        return Outcome(ACCEPTED), printed
    lines = complaint.rstrip().rpartition("error: ")[2]
    return (sentence(lines) if "error: " in complaint or printed else Outcome(OTHER, complaint)), printed


@contextlib.contextmanager
def _captured() -> "Iterator[tuple[Callable[[], str], Callable[[], str]]]":
    """Capture what is printed. Progress bars end their lines in carriage returns."""
    before = sys.stdout, sys.stderr
    streams = [io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace", newline="") for _ in before]
    sys.stdout, sys.stderr = streams
    try:
        yield tuple(map(_reader, streams))  # type: ignore[misc]
    finally:
        sys.stdout, sys.stderr = before


def _reader(stream: io.TextIOWrapper) -> Callable[[], str]:
    def read() -> str:
        stream.flush()
        return stream.buffer.getvalue().decode()  # type: ignore[attr-defined, no-any-return]

    return read
