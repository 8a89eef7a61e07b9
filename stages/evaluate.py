"""Evaluate all methods on the test clips; nothing is fitted or chosen here.

Reads features/pairs.h5, models/probes/ and models/head/; writes metrics/summary.json, metrics/eval.json,
metrics/cost.json, plots/confusion.csv, plots/classes.csv, plots/reliability.csv and features/test_clips.csv.
"""

from mocliplite import checkpoint, files
from mocliplite.evaluation import method_table
from mocliplite.evaluation.metrics import softmax
from mocliplite.fusion import methods, similarity
from mocliplite.fusion.answers import answer
from mocliplite.fusion.cost import cost
from mocliplite.fusion.pairs import check_fitted_on, select_split
from mocliplite.store import table_file
from stages import run_stage


def main() -> None:
    table = table_file.read_table("features/pairs.h5", "pairs")
    probes, probes_config = checkpoint.load("models/probes")
    heads, config = checkpoint.load("models/head")
    check_fitted_on(probes_config, table, "models/probes")
    check_fitted_on(config, table, "models/head")
    checkpoint.check_source("models/head", "models/probes", config["probes"], checkpoint.digest("models/probes"))
    data = select_split(table.arrays, "test")
    labels, classes, calibration = data["label"], data["classes"], config["calibration"]

    logits = methods.calibrate(methods.all_logits(heads, probes, data), calibration)
    metrics = method_table.all_metrics(logits, labels, data["group"], calibration)
    answers = answer(calibration["answer"], logits, heads, data)
    metrics["fusion_without"] = {
        stream: method_table.top1(answers.by_streams[other,], labels)
        for stream, other in (("keyframe", "motion"), ("motion", "keyframe"))
    }
    distinct = data["similarity"] < similarity.NEAR_DUPLICATE
    distinct_top1 = method_table.top1(logits["fusion"][:, distinct], labels[distinct]) if distinct.any() else 0.0
    metrics["near_duplicates"] = {"clips": int((~distinct).sum()), "fusion_without": distinct_top1}
    probabilities = {name: softmax(values) for name, values in logits.items()}
    metrics["share"] = {stream: float(values.mean()) for stream, values in answers.shares.items()}
    metrics = files.rounded(metrics)
    files.write_json("metrics/eval.json", metrics)
    files.write_json("metrics/summary.json", method_table.summary(metrics))
    files.write_json("metrics/cost.json", cost(heads, table.settings, table.provenance))

    confusion = [
        {"actual": classes[a], "predicted": classes[b]} for a, b in zip(labels, answers.predicted, strict=True)
    ]
    files.write_csv("plots/confusion.csv", confusion)
    files.write_csv("plots/classes.csv", method_table.by_class(logits, labels, classes))
    files.write_csv("plots/reliability.csv", method_table.reliability_by_method(probabilities, labels))
    files.write_csv("features/test_clips.csv", method_table.by_clip(data, answers.probabilities, answers.shares))
    print(method_table.table(metrics))


if __name__ == "__main__":
    run_stage("evaluate", main)
