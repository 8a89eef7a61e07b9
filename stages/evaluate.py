"""Judge every way of recognising on the test clips, once; nothing is chosen here.

Reads features/pairs.h5, models/probes/ and models/head/; writes metrics/eval.json, metrics/cost.json,
plots/confusion.csv, plots/classes.csv, plots/reliability.csv and features/test_clips.csv.
"""

from mocliplite import checkpoint, files, head, pairs, results, scores, store
from mocliplite.errors import run


def main() -> None:
    table = store.read_table("features/pairs.h5", "pairs")
    probes, fitted = checkpoint.load("models/probes")
    tensors, config = checkpoint.load("models/head")
    head.check_features(fitted, table.settings, "models/probes")
    head.check_features(config, table.settings, "models/head")
    data = head.rows_of(table.arrays, "test")
    labels, classes, chosen = data["label"], data["classes"], config["chosen"]

    logits = head.settle(head.all_logits(tensors, probes, data), chosen)
    metrics = results.metrics(logits, labels, data["group"], chosen)
    played = head.by_players(tensors, data)
    metrics["fusion_without"] = {
        stream: results.top1(played[other,], labels)
        for stream, other in (("keyframe", "motion"), ("motion", "keyframe"))
    }
    new = data["likeness"] < pairs.ALIKE
    apart = results.top1(logits["fusion"][:, new], labels[new]) if new.any() else 0.0
    metrics["near_duplicates"] = {"clips": int((~new).sum()), "fusion_without": apart}
    probabilities = {name: scores.softmax(values) for name, values in logits.items()}
    guess = probabilities["fusion"].mean(axis=0).argmax(axis=1)
    share = head.shares(played, guess)
    metrics["share"] = {stream: float(values.mean()) for stream, values in share.items()}
    metrics = files.rounded(metrics)
    files.write_json("metrics/eval.json", metrics)
    files.write_json("metrics/cost.json", head.cost(tensors, table.settings))

    confusion = [{"actual": classes[a], "predicted": classes[b]} for a, b in zip(labels, guess, strict=True)]
    files.write_csv("plots/confusion.csv", confusion)
    files.write_csv("plots/classes.csv", results.by_class(logits, labels, classes))
    files.write_csv("plots/reliability.csv", results.reliability_by_way(probabilities, labels))
    files.write_csv("features/test_clips.csv", results.by_clip(data, guess, probabilities["fusion"], share))
    print(results.table(metrics))


if __name__ == "__main__":
    run(main)
