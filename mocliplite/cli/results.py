"""`results`: the last evaluation as a table."""

import argparse

HELP = "print the last evaluation as a table"
USES_MODELS = True


def run(_: argparse.Namespace) -> None:
    """Print the figures of metrics/eval.json as a table."""
    from mocliplite.evaluation.method_table import table
    from mocliplite.files import read_json

    print(table(read_json("metrics/eval.json")))
