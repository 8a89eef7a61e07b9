"""metrics/eval.json, the figures of the last evaluation, for the commands that show them."""

from typing import Any

from mocliplite.errors import UserError
from mocliplite.files import read_json

FILE = "metrics/eval.json"


def read_metrics() -> dict[str, Any]:
    """Return the figures. Raises UserError if the file is missing, damaged or from another version of the code."""
    metrics = read_json(FILE)
    if "answer" not in metrics or not ({"top1", "map"} & metrics.keys()):
        raise UserError(f"{FILE} is from another version of MoCLIP-Lite; run `dvc repro` to write it again.")
    return metrics
