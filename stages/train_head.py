"""Fit the fusion head, and a head on the keyframe alone as its baseline; calibrate all methods.

Reads features/pairs.h5 and models/probes/; writes models/head/, metrics/head.json and plots/head_training.csv. Each
seed's epoch, the temperatures and the mixing weights are chosen on the validation clips; test clips are not read.
"""

from dataclasses import asdict

import numpy as np

from mocliplite import checkpoint, csv_files, files, params
from mocliplite.fusion import methods
from mocliplite.fusion.head_training import Curve, fit_head
from mocliplite.fusion.pairs import Arrays, check_fitted_on, parts, read_split
from mocliplite.runtime.device import device

from . import run_stage

ARRAYS = ("ids", "label", "keyframe", "motion", "motion_logits")  # of each clip, all that a head needs of pairs.h5


def main() -> None:
    settings = params.load()
    pairs = read_split("features/pairs.h5", "train", ARRAYS)
    train, val = pairs.arrays, read_split("features/pairs.h5", "val", ARRAYS).arrays
    probes, probes_config = checkpoint.load("models/probes")
    check_fitted_on(probes_config, pairs, "models/probes")
    classes = pairs.arrays["classes"].tolist()

    tensors: dict[str, np.ndarray] = {}
    curves: dict[str, Curve] = {}
    val_figures: dict[str, dict[str, float]] = {}
    torch_device = device(settings.compute)
    for name in methods.STREAMS:
        head, curves[name], val_figures[name] = fit_head(
            name, train, val, settings.head, torch_device, probes_config["alpha"]
        )
        tensors |= head

    lengths = {stream: train[stream].shape[2] for stream in methods.STREAMS["fusion"]}
    fitted_on = {"features": pairs.settings, "pairs": pairs.digest, "probes": checkpoint.digest("models/probes")}
    del pairs, train  # the calibration needs memory of its own
    calibration = methods.fit_calibration(_logits(tensors, probes, val), val["label"])
    config = {"head": asdict(settings.head), "classes": classes, "lengths": lengths, "calibration": calibration}
    checkpoint.save("models/head", tensors, config | fitted_on)
    csv_files.write_csv("plots/head_training.csv", _rows(curves))
    files.write_json(
        "metrics/head.json", files.rounded({"seeds": settings.head.seeds, "val": val_figures, **calibration})
    )


def _logits(tensors: Arrays, probes: Arrays, data: Arrays) -> dict[str, np.ndarray]:
    """Return methods.all_logits, computed for a part of the clips at a time."""
    of_parts = [methods.all_logits(tensors, probes, part) for part in parts(data)]
    return {name: np.concatenate([part[name] for part in of_parts], axis=-2) for name in of_parts[0]}


def _rows(curves: dict[str, Curve]) -> list[dict[str, object]]:
    """A row per head, part and epoch; a head has rows up to the epoch at which it stopped."""
    return [
        {"epoch": epoch, "curve": f"{name} {part}", "loss": figures[f"{part}_loss"]}
        for name, curve in curves.items()
        for part in ("train", "val")
        for epoch, figures in enumerate(curve)
    ]


if __name__ == "__main__":
    run_stage("train_head", main)
