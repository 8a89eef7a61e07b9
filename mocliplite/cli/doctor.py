"""`doctor`: check the project and the machine before a run."""

import argparse
import sys

HELP = "check cache links, locks, ignored metrics, encoder and free disk space"


def run(_: argparse.Namespace) -> None:
    """Print what is in order, what is not, and how to correct it; exit with status 1 where something is not."""
    from mocliplite.cli._doctor import findings

    found = list(findings())
    for finding in found:
        print(f"{finding.mark:5} {finding.sentence}")
    if any(finding.mark == "BAD" for finding in found):
        sys.exit(1)
