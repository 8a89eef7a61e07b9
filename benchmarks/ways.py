"""The table of all ways of recognising over several folds: test clips of all folds are pooled.

`python -m benchmarks.ways FILE...`, each a features/pairs.h5 of another fold, copied away after `dvc repro`. Settings
of the head are those of params.yaml; --views plain fits as the paper does. Each fold chooses on its own validation.
"""

import argparse
import json
from dataclasses import replace

import numpy as np
import torch

from mocliplite import files, params
from mocliplite.errors import run
from mocliplite.evaluation import method_table
from mocliplite.fusion import methods
from mocliplite.fusion.heads import fit_head
from mocliplite.fusion.pairs import select_split
from mocliplite.fusion.probes import fit_probes
from mocliplite.store import table_file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--views", choices=["all", "plain"], help="instead of head.views")
    given = parser.parse_args()
    settings = params.load().head
    settings = replace(settings, views=given.views or settings.views)
    folds = [_fold(path, settings) for path in given.files]

    logits = {name: np.concatenate([fold[0][name] for fold in folds], axis=-2) for name in method_table.METHODS}
    labels, groups = (np.concatenate([fold[number] for fold in folds]) for number in (1, 2))
    # One stream must stand for all folds: the one that validation prefers most often.
    singles = [fold[3]["best_single"] for fold in folds]
    chosen = {"best_single": max(sorted(set(singles)), key=singles.count)}
    chosen["temperature"] = {name: float(np.mean([fold[3]["temperature"][name] for fold in folds])) for name in logits}
    metrics = files.rounded(method_table.all_metrics(logits, labels, groups, chosen))
    print(method_table.table(metrics))
    print(json.dumps({"views": settings.views, "top1": metrics["top1"]}))


def _fold(path: str, settings: params.Head) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray, dict[str, object]]:
    """Settled logits, labels and groups of the test clips, and what validation chose."""
    arrays = table_file.read_table(path, "pairs").arrays
    train, val, test = (select_split(arrays, part) for part in ("train", "val", "test"))
    probes, _ = fit_probes(train, val)
    tensors: dict[str, np.ndarray] = {}
    for name in methods.STREAMS:
        tensors |= fit_head(name, train, val, settings, torch.device("cpu"))[0]
    chosen = methods.fit_calibration(methods.all_logits(tensors, probes, val), val["label"])
    logits = methods.all_logits(tensors, probes, test)
    return methods.calibrate(logits, chosen), test["label"], test["group"], chosen


if __name__ == "__main__":
    run(main)
