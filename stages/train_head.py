"""Fit the fusion head, and a head on keyframes alone beside it as its baseline.

Reads features/pairs.h5 and models/probes/; writes models/head/, metrics/head.json and plots/head_training.csv. Each
seed's epoch, the temperatures and the weights of mixed ways are chosen on the validation clips; rows of test clips are
left out as soon as the file is open.
"""

from dataclasses import asdict

import numpy as np

from mocliplite import checkpoint, files, params
from mocliplite.errors import run
from mocliplite.fusion import methods
from mocliplite.fusion.heads import Curve, fit_head
from mocliplite.fusion.pairs import check_features, select_split
from mocliplite.runtime.device import device
from mocliplite.store import table_file


def main() -> None:
    settings = params.load()
    where = device(settings.compute)
    pairs = table_file.read_table("features/pairs.h5", "pairs")
    probes, fitted_on = checkpoint.load("models/probes")
    check_features(fitted_on, pairs.settings, "models/probes")
    classes = pairs.arrays["classes"].tolist()
    train, val = (select_split(pairs.arrays, part) for part in ("train", "val"))

    tensors: dict[str, np.ndarray] = {}
    curves: dict[str, Curve] = {}
    judged: dict[str, dict[str, float]] = {}
    for name in methods.STREAMS:
        fitted, curves[name], judged[name] = fit_head(name, train, val, settings.head, where)
        tensors |= fitted

    logits = methods.all_logits(tensors, probes, val)
    chosen = methods.fit_calibration(logits, val["label"])
    lengths = {stream: train[stream].shape[2] for stream in methods.STREAMS["fusion"]}
    config = {"head": asdict(settings.head), "classes": classes, "lengths": lengths, "features": pairs.settings}
    checkpoint.save("models/head", tensors, config | {"calibration": chosen})
    files.write_csv("plots/head_training.csv", _together(curves))
    files.write_json("metrics/head.json", files.rounded({"seeds": settings.head.seeds, "val": judged, **chosen}))


def _together(curves: dict[str, Curve]) -> list[dict[str, object]]:
    """A row an epoch; a head that stopped earlier than another leaves its cells empty."""
    epochs = max(len(curve) for curve in curves.values())
    return [
        {"epoch": epoch}
        | {
            f"{name}_{key}": curve[epoch][key] if epoch < len(curve) else ""
            for name, curve in curves.items()
            for key in curve[0]
        }
        for epoch in range(epochs)
    ]


if __name__ == "__main__":
    run(main)
