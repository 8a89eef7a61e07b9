"""`splits`: the mean over the splits of a data set."""

import argparse
import sys

HELP = "print mean and standard deviation over the splits of a data set"
EXAMPLE = "example: dvc exp show --json | python -m mocliplite splits"


def run(_: argparse.Namespace) -> None:
    """Read `dvc exp show --json` from standard input, and print the mean of experiments over splits."""
    from mocliplite.evaluation import cross_split

    tables, left_out = cross_split.mean_over_splits(sys.stdin.read())
    for sentence in left_out:
        print(f"left out: {sentence}", file=sys.stderr)
    if not tables:
        print(
            f"error: no two finished runs differ in dataset.split alone; {cross_split.RUN_ALL_SPLITS}.", file=sys.stderr
        )
        sys.exit(1)
    print("\n\n".join(tables))
