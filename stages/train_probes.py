"""Fit the linear probes in closed form; compute the learning curve and the suspicious labels with them.

Reads features/pairs.h5; writes models/probes/, metrics/probes.json, plots/learning_curve.csv and
features/suspicious_labels.csv. The penalties are chosen on the validation clips; test clips are not read.
Of the settings of the head, only class_weight has an influence, so this stage does not run again for the others.
"""

import numpy as np

from mocliplite import checkpoint, csv_files, files, params
from mocliplite.evaluation.metrics import within_top
from mocliplite.evaluation.multi_label import mean_average_precision
from mocliplite.fusion import learning_curve, suspicious_labels
from mocliplite.fusion.pairs import read_split
from mocliplite.fusion.probes import fit_probes, probe_logits

from . import run_stage

ARRAYS = ("ids", "label", "split", "group", "keyframe", "motion")  # all that the probes need of pairs.h5


def main() -> None:
    settings = params.load()
    pairs = read_split("features/pairs.h5", "train", ARRAYS)
    train, val = pairs.arrays, read_split("features/pairs.h5", "val", ARRAYS).arrays

    tensors, alphas = fit_probes(train, val, settings.head.class_weight)
    val_figures = {
        name: {"alpha": alphas[name], **_val_figure(logits, val["label"])}
        for name, logits in probe_logits(tensors, val).items()
    }
    fitted_on = {"features": pairs.settings, "pairs": pairs.digest}
    checkpoint.save("models/probes", tensors, {"alpha": alphas, "classes": train["classes"].tolist(), **fitted_on})
    csv_files.write_csv("plots/learning_curve.csv", learning_curve.learning_curve(train, val, alphas))
    rows = suspicious_labels.suspicious_labels(train, val, alphas)
    csv_files.write_csv("features/suspicious_labels.csv", rows)
    files.write_json("metrics/probes.json", files.rounded({"val": val_figures}))


def _val_figure(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    if labels.ndim == 2:
        return {"val_map": mean_average_precision(logits, labels)}
    return {"val_top1": float(within_top(logits, labels, 1).mean())}


if __name__ == "__main__":
    run_stage("train_probes", main)
