"""Fit what needs no training loop: linear probes in closed form, and with them two looks at the data.

Reads features/pairs.h5; writes models/probes/, metrics/probes.json, plots/learning_curve.csv and
features/suspicious_labels.csv. Penalties are chosen on the validation clips; rows of test clips are left out as soon
as the file is open. No setting of the head plays a part, so that another head finds all this done.
"""

from mocliplite import checkpoint, files
from mocliplite.errors import run
from mocliplite.evaluation.metrics import within_top
from mocliplite.fusion import learning_curve, suspicious_labels
from mocliplite.fusion.pairs import select_split
from mocliplite.fusion.probes import fit_probes, probe_logits
from mocliplite.store import table_file


def main() -> None:
    pairs = table_file.read_table("features/pairs.h5", "pairs")
    train, val = (select_split(pairs.arrays, part) for part in ("train", "val"))

    tensors, alphas = fit_probes(train, val)
    judged = {
        name: {"alpha": alphas[name], "val_top1": float(within_top(logits, val["label"], 1).mean())}
        for name, logits in probe_logits(tensors, val).items()
    }
    checkpoint.save(
        "models/probes", tensors, {"alpha": alphas, "classes": train["classes"].tolist(), "features": pairs.settings}
    )
    files.write_csv("plots/learning_curve.csv", learning_curve.learning_curve(train, val, alphas))
    suspects = suspicious_labels.suspicious_labels(train, val, alphas["ridge"])
    files.write_csv("features/suspicious_labels.csv", suspects)
    files.write_json("metrics/probes.json", files.rounded({"val": judged}))


if __name__ == "__main__":
    run(main)
