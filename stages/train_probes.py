"""Fit what needs no training loop: linear probes in closed form, and with them two looks at the data.

Reads features/pairs.h5; writes models/probes/, metrics/probes.json, plots/learning_curve.csv and
features/suspicious_labels.csv. Penalties are chosen on the validation clips; rows of test clips are left out as soon
as the file is open. No setting of the head plays a part, so that another head finds all this done.
"""

from mocliplite import audit, checkpoint, files, head, store
from mocliplite.errors import run
from mocliplite.scores import within_top


def main() -> None:
    pairs = store.read_table("features/pairs.h5", "pairs")
    train, val = (head.rows_of(pairs.arrays, part) for part in ("train", "val"))

    tensors, alphas = head.fit_probes(train, val)
    judged = {
        name: {"alpha": alphas[name], "val_top1": float(within_top(logits, val["label"], 1).mean())}
        for name, logits in head.probe_logits(tensors, val).items()
    }
    checkpoint.save(
        "models/probes", tensors, {"alpha": alphas, "classes": train["classes"].tolist(), "features": pairs.settings}
    )
    files.write_csv("plots/learning_curve.csv", audit.learning_curve(train, val, alphas))
    suspects = audit.suspicious_labels(train, val, alphas["ridge"])
    files.write_csv("features/suspicious_labels.csv", suspects)
    files.write_json("metrics/probes.json", files.rounded({"val": judged}))


if __name__ == "__main__":
    run(main)
