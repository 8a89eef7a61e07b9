"""metrics/eval.json, the figures of the last evaluation, for the commands that show them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mocliplite import checkpoint
from mocliplite.errors import UserError
from mocliplite.files import read_json
from mocliplite.fusion.pairs import digest_of_clips

FILE = "metrics/eval.json"


def read_metrics() -> dict[str, Any]:
    """Return the figures. Raises UserError if the file is missing, damaged or from another version of the code."""
    metrics = read_json(FILE)
    if "answer" not in metrics or not ({"top1", "map"} & metrics.keys()):
        raise UserError(f"{FILE} is from another version of MoCLIP-Lite; run `dvc repro` to write it again.")
    return metrics


def check_test_clips(
    metrics: Mapping[str, Any], ids: Sequence[str], labels: np.ndarray, classes: Sequence[str]
) -> None:
    """Raise UserError unless the figures are of these test clips: all of features/pairs.h5, in its order."""
    test_set = digest_of_clips(ids, labels.tolist(), classes)
    checkpoint.check_source(FILE, "features/pairs.h5", metrics.get("test_set"), test_set)
