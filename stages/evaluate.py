"""Judge every way of recognising on the test clips, once; nothing is chosen here but on validation clips.

Reads features/pairs.h5 and models/head/; writes metrics/eval.json, metrics/cost.json, plots/confusion.csv and
plots/classes.csv.
"""

import numpy as np

from mocliplite import checkpoint, files, head, scores, store
from mocliplite.errors import UserError, run


def main() -> None:
    pairs = store.read_table("features/pairs.h5", "pairs")
    tensors, config = checkpoint.load("models/head")
    if config["features"] != pairs.settings:
        raise UserError("models/head was fitted on other features than features/pairs.h5; run `dvc repro`.")
    data, classes = pairs.arrays, pairs.arrays["classes"]
    logits = head.all_logits(tensors, data)
    val, test = (data["split"] == part for part in ("val", "test"))
    logits["score_fusion"], weight = head.score_fusion(logits["keyframe"], logits["motion"], data["label"], val)

    labels = data["label"][test]
    # A group's name says something within its class only where data sets number groups class by class, as UCF101 does.
    groups = np.char.add(np.char.add(data["group"][test], "/"), classes[labels])
    judged = {name: values[..., test, :] for name, values in logits.items()}
    first = {name: scores.within_top(values, labels, 1) for name, values in judged.items()}
    metrics = {
        "clips": int(test.sum()),
        "top1": {name: scores.summary(correct, groups) for name, correct in first.items()},
        "top5": {name: scores.summary(scores.within_top(out, labels, 5), groups) for name, out in judged.items()},
        "mean_class": {name: {"mean": scores.mean_class(correct, labels)} for name, correct in first.items()},
        "fusion_minus_keyframe": scores.difference(first["fusion"], first["keyframe"], groups),
        "score_fusion_weight": weight,
    }
    metrics = files.rounded(metrics)
    files.write_json("metrics/eval.json", metrics)
    files.write_json("metrics/cost.json", head.cost(tensors, pairs.settings))
    guess = scores.softmax(judged["fusion"]).mean(axis=0).argmax(axis=1)
    confusion = [{"actual": classes[a], "predicted": classes[b]} for a, b in zip(labels, guess, strict=True)]
    files.write_csv("plots/confusion.csv", confusion)
    files.write_csv("plots/classes.csv", scores.by_class(first, labels, classes))
    print(scores.table(metrics))


if __name__ == "__main__":
    run(main)
