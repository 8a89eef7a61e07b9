"""Fit the fusion head, and a head on keyframes alone beside it as its baseline.

Reads features/pairs.h5; writes models/head/, metrics/head.json and plots/head_training.csv. Each seed's epoch is chosen
on the validation clips; rows of test clips are left out as soon as the file is open.
"""

from dataclasses import asdict

import numpy as np
import torch

from mocliplite import checkpoint, files, head, mlp, params, store
from mocliplite.device import device
from mocliplite.errors import run


def main() -> None:
    settings = params.load()
    where = device(settings.compute)
    pairs = store.read_table("features/pairs.h5", "pairs")
    data = pairs.arrays
    classes = data["classes"].tolist()
    keyframe = np.repeat(data["keyframe"][:, None], data["motion"].shape[1], axis=1)
    inputs = {"fusion": head.fuse(keyframe, data["motion"]), "keyframe": keyframe}

    tensors: dict[str, np.ndarray] = {}
    curves: dict[str, mlp.Curve] = {}
    judged: dict[str, dict[str, float]] = {}
    for name, features in inputs.items():
        rows = {part: data["split"] == part for part in ("train", "val")}
        train, val = (
            (torch.from_numpy(features[chosen]).to(where), torch.from_numpy(data["label"][chosen]).to(where))
            for chosen in rows.values()
        )
        heads, curves[name], judged[name] = mlp.fit_heads(train, val, len(classes), settings.head, name)
        tensors |= {f"{name}.{key}": value.cpu().numpy() for key, value in heads.state_dict().items()}

    config = {"head": asdict(settings.head), "classes": classes, "features": pairs.settings}
    checkpoint.save("models/head", tensors, config)
    together = zip(*curves.values(), strict=True)
    points = [
        {f"{name}_{key}": row[key] for name, row in zip(curves, rows, strict=True) for key in row} for rows in together
    ]
    files.write_csv("plots/head_training.csv", [{"epoch": epoch, **point} for epoch, point in enumerate(points)])
    metrics = {"seeds": settings.head.seeds, "val": judged}
    files.write_json("metrics/head.json", files.rounded(metrics))


if __name__ == "__main__":
    run(main)
