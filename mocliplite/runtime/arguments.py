"""The command-line options of the stages that compute stores."""

import argparse
import os
import re
from dataclasses import dataclass

# `dvc repro` passes no options to a stage, but it passes environment variables.
RETRY = "MOCLIPLITE_RETRY_FAILED"


@dataclass(frozen=True)
class Part:
    """One of several parts of the shards of a store, each computed by a process of its own."""

    number: int  # from 1
    count: int

    @property
    def name(self) -> str:
        """A name for files; empty for the whole."""
        return "" if self == WHOLE else f"{self.number}-of-{self.count}"

    def has(self, shard: int) -> bool:
        """Return whether the shard of this number belongs to the part."""
        return shard % self.count == self.number - 1


WHOLE = Part(1, 1)


@dataclass(frozen=True)
class Arguments:
    """What the options say."""

    retry_failed: bool  # compute all failed clips again
    part: Part  # the shards to compute


def parse(stage: str, decodes: bool = True) -> Arguments:
    """Return the options of a stage. Wrong ones print the usage and exit with status 2.

    decodes: whether the stage decodes clips, and so has --retry-failed, which is also given by the environment variable
    MOCLIPLITE_RETRY_FAILED=1.
    """
    parser = argparse.ArgumentParser(prog=f"python -m stages.{stage}")
    parser.set_defaults(retry_failed=False)
    if decodes:
        retry = "try all failed clips again, whatever the reason"
        parser.add_argument("--retry-failed", action="store_true", help=retry)
    parser.add_argument(
        "--part",
        type=_part,
        default=WHOLE,
        metavar="I/N",
        help="compute part I of N of the shards alone, I from 1; run the stage without --part after all parts",
    )
    given = parser.parse_args()
    return Arguments(given.retry_failed or os.environ.get(RETRY) == "1", given.part)


def _part(text: str) -> Part:
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise argparse.ArgumentTypeError(f"{text!r} is not a part such as 1/4, the first of four")
    return Part(int(found[1]), int(found[2]))
