"""`results`: the last evaluation as a table."""

import argparse

from mocliplite.evaluation.rows import METHODS

HELP = "print the last evaluation as a table"
EXAMPLE = "rows: " + "; ".join(f"{name}: {meaning}" for name, meaning in METHODS.items())
USES_MODELS = True


def run(_: argparse.Namespace) -> None:
    """Print the figures of metrics/eval.json as a table."""
    from mocliplite.evaluation.method_table import table
    from mocliplite.predict.metrics_file import read_metrics

    print(table(read_metrics()))
