"""Evaluate all methods on the test clips; nothing is fitted or chosen here.

Reads features/pairs.h5, models/probes/ and models/head/; writes metrics/summary.json, metrics/eval.json,
metrics/cost.json, plots/confusion.csv, plots/classes.csv, plots/reliability.csv and features/test_clips.csv.
"""

from mocliplite import checkpoint, files
from mocliplite.evaluation import method_table, multi_label_table
from mocliplite.evaluation.metrics import softmax
from mocliplite.evaluation.multi_label import sigmoid
from mocliplite.fusion import methods, similarity
from mocliplite.fusion.answers import answer
from mocliplite.fusion.cost import cost
from mocliplite.fusion.pairs import check_fitted_on, select_split
from mocliplite.store import table_file

from . import run_stage


def main() -> None:
    table = table_file.read_table("features/pairs.h5", "pairs")
    probes, probes_config = checkpoint.load("models/probes")
    heads, config = checkpoint.load("models/head")
    check_fitted_on(probes_config, table, "models/probes")
    check_fitted_on(config, table, "models/head")
    checkpoint.check_source("models/head", "models/probes", config["probes"], checkpoint.digest("models/probes"))
    data = select_split(table.arrays, "test")
    labels, classes, calibration = data["label"], data["classes"], config["calibration"]

    multi_label = methods.is_multi_label(calibration)
    figures = multi_label_table if multi_label else method_table

    logits = methods.calibrate(methods.all_logits(heads, probes, data), calibration)
    metrics = figures.all_metrics(logits, labels, data["group"], calibration)
    answers = answer(calibration, logits, heads, data)
    metrics["fusion_without"] = {
        stream: figures.figure(answers.by_streams[other,], labels)
        for stream, other in (("keyframe", "motion"), ("motion", "keyframe"))
    }
    distinct = data["similarity"] < similarity.NEAR_DUPLICATE
    distinct_figure = figures.figure(logits["fusion"][:, distinct], labels[distinct]) if distinct.any() else 0.0
    metrics["near_duplicates"] = {"clips": int((~distinct).sum()), "fusion_without": distinct_figure}
    link = sigmoid if multi_label else softmax
    probabilities = {name: link(values) for name, values in logits.items()}
    metrics["share"] = {stream: float(values.mean()) for stream, values in answers.shares.items()}
    metrics = files.rounded(metrics)
    files.write_json("metrics/eval.json", metrics)
    files.write_json("metrics/summary.json", method_table.summary(metrics))
    files.write_json("metrics/cost.json", cost(heads, table.settings, table.provenance))

    # Where a clip may have several classes there is no confusion matrix, and the plot is empty.
    confusion = [] if multi_label else zip(classes[labels], classes[answers.predicted], strict=True)
    files.write_rows("plots/confusion.csv", ["actual", "predicted"], confusion)
    files.write_csv("plots/classes.csv", figures.by_class(logits, labels, classes))
    files.write_csv("plots/reliability.csv", method_table.reliability_by_method(probabilities, labels))
    if multi_label:
        threshold = calibration["f1_threshold"][calibration["answer"]]
        clip_rows = multi_label_table.by_clip(data, answers.probabilities, answers.shares, threshold)
    else:
        clip_rows = method_table.by_clip(data, answers.probabilities, answers.shares)
    files.write_csv("features/test_clips.csv", clip_rows)
    print(method_table.table(metrics))


if __name__ == "__main__":
    run_stage("evaluate", main)
