"""`splits`: the mean over splits of experiments."""

import argparse
import sys

HELP = "print the mean over splits of experiments"
EXAMPLE = "example: dvc exp show --json | python -m mocliplite splits"


def run(_: argparse.Namespace) -> None:
    """Print the mean over splits of the experiments that `dvc exp show --json` lists on standard input."""
    from mocliplite.evaluation import cross_split

    tables, left_out = cross_split.mean_over_splits(sys.stdin.read())
    for sentence in left_out:
        print(f"left out: {sentence}", file=sys.stderr)
    if not tables:
        print(f"error: no two finished runs differ in dataset.split alone; {cross_split.WANTED}.", file=sys.stderr)
        sys.exit(1)
    print("\n\n".join(tables))
