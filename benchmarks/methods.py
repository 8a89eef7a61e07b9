"""The table of all methods over several folds, with the test clips of all folds pooled.

Run `python -m benchmarks.methods FILE...`, where each FILE is the features/pairs.h5 of one fold, copied after
`dvc repro`. The settings of the head are those of params.yaml; --views plain trains like the paper. Each fold is
calibrated on its own validation clips.
"""

import argparse
import json
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch

from mocliplite import files, params
from mocliplite.errors import run
from mocliplite.evaluation import method_table
from mocliplite.fusion import methods
from mocliplite.fusion.head_training import fit_head
from mocliplite.fusion.pairs import read_split
from mocliplite.fusion.probes import fit_probes


class Fold(NamedTuple):
    """Results on the test clips of one fold."""

    logits: dict[str, np.ndarray]  # calibrated, by method: [N, C] or [S, N, C]
    labels: np.ndarray
    groups: np.ndarray
    calibration: dict[str, Any]  # fitted on the fold's validation clips


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", metavar="FILE", help="features/pairs.h5 of a fold")
    parser.add_argument("--views", choices=["all", "plain"], help="views of the train clips (default: head.views)")
    given = parser.parse_args()
    settings = params.load().head
    settings = replace(settings, views=given.views or settings.views)
    folds = [evaluate_fold(path, settings) for path in given.files]

    logits = {name: np.concatenate([fold.logits[name] for fold in folds], axis=-2) for name in folds[0].logits}
    labels, groups = (np.concatenate([getattr(fold, name) for fold in folds]) for name in ("labels", "groups"))
    # The best single stream of all folds is the one that most folds chose.
    choices = [fold.calibration["best_single"] for fold in folds]
    calibration = {
        "best_single": max(sorted(set(choices)), key=choices.count),
        "temperature": {
            name: float(np.mean([fold.calibration["temperature"][name] for fold in folds])) for name in logits
        },
    }
    outcomes = {name: method_table.outcomes(values, labels) for name, values in logits.items()}
    metrics = files.rounded(method_table.all_metrics(outcomes, labels, groups, calibration))
    print(method_table.table(metrics))
    print(json.dumps({"views": settings.views, "top1": metrics["top1"]}))


def evaluate_fold(path: str, settings: params.Head) -> Fold:
    """Fit and calibrate all methods on a fold; return their results on its test clips."""
    train, val, test = (read_split(path, split).arrays for split in ("train", "val", "test"))
    probes, alphas = fit_probes(train, val, settings.class_weight)
    tensors: dict[str, np.ndarray] = {}
    for name in methods.STREAMS:
        tensors |= fit_head(name, train, val, settings, torch.device("cpu"), alphas)[0]
    calibration = methods.fit_calibration(methods.all_logits(tensors, probes, val), val["label"])
    logits = methods.all_logits(tensors, probes, test)
    return Fold(methods.calibrate(logits, calibration), test["label"], test["group"], calibration)


if __name__ == "__main__":
    run(main)
