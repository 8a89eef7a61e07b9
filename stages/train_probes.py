"""Fit what needs no training loop: linear probes in closed form, and with them two looks at the data.

Reads features/pairs.h5; writes models/probes/, metrics/probes.json, plots/learning_curve.csv and
features/suspicious_labels.csv. Penalties are chosen on the validation clips; rows of test clips are left out as soon
as the file is open. No setting of the head plays a part, so that another head finds all this done.
"""

import numpy as np

from mocliplite import audit, checkpoint, files, head, ridge, store
from mocliplite.errors import run


def main() -> None:
    pairs = store.read_table("features/pairs.h5", "pairs")
    classes = pairs.arrays["classes"].tolist()
    train, val = (head.rows_of(pairs.arrays, part) for part in ("train", "val"))

    tensors: dict[str, np.ndarray] = {}
    alphas: dict[str, float] = {}
    judged: dict[str, dict[str, float]] = {}
    for name, seen in head.PROBES.items():
        given, judge = ((head.features(data, seen), data["label"]) for data in (train, val))
        fitted, alphas[name] = ridge.fit_ridge(given, judge, len(classes))
        tensors |= {f"{name}.{key}": value for key, value in fitted.items()}
    for name, logits in head.probe_logits(tensors, val).items():
        right = logits.argmax(axis=1) == val["label"]
        judged[name] = {"alpha": alphas[name], "val_top1": float(right.mean())}

    checkpoint.save("models/probes", tensors, {"alpha": alphas, "classes": classes, "features": pairs.settings})
    files.write_csv("plots/learning_curve.csv", audit.learning_curve(train, val, alphas))
    suspects = audit.suspicious_labels(train, val, alphas["ridge"])
    files.write_csv("features/suspicious_labels.csv", suspects)
    files.write_json("metrics/probes.json", files.rounded({"val": judged}))


if __name__ == "__main__":
    run(main)
