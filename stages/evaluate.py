"""Evaluate all methods on the test clips; nothing is fitted or chosen here.

Reads features/pairs.h5, models/probes/ and models/head/; writes metrics/summary.json, metrics/eval.json,
metrics/cost.json, plots/confusion.csv, plots/classes.csv, plots/reliability.csv and features/test_clips.csv.
"""

from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from mocliplite import checkpoint, csv_files, files
from mocliplite.evaluation import method_table, multi_label_table
from mocliplite.fusion import methods, similarity
from mocliplite.fusion.answers import Answers, answer
from mocliplite.fusion.cost import cost
from mocliplite.fusion.pairs import Arrays, check_fitted_on, digest_of_clips, parts, read_split

from . import run_stage


class _Evaluated(NamedTuple):
    """What is kept of a part of the test clips."""

    by_method: dict[str, Any]  # outcomes of method_table or of multi_label_table
    without: dict[str, Any]  # those of fusion without a stream, by stream
    predicted: np.ndarray
    shares: dict[str, np.ndarray]
    rows: list[dict[str, object]]  # of features/test_clips.csv


def main() -> None:
    table = read_split("features/pairs.h5", "test")
    data = table.arrays
    probes, probes_config = checkpoint.load("models/probes")
    heads, config = checkpoint.load("models/head")
    check_fitted_on(probes_config, table, "models/probes")
    check_fitted_on(config, table, "models/head")
    checkpoint.check_source("models/head", "models/probes", config["probes"], checkpoint.digest("models/probes"))
    labels, classes, calibration = data["label"], data["classes"], config["calibration"]
    multi_label = methods.is_multi_label(calibration)
    figures = multi_label_table if multi_label else method_table

    evaluated = [_evaluate(part, heads, probes, calibration, figures) for part in parts(data)]
    by_method, without = (
        _joined([getattr(part, name) for part in evaluated], figures.joined) for name in ("by_method", "without")
    )
    metrics = figures.all_metrics(by_method, labels, data["group"], calibration)
    metrics["test_set"] = digest_of_clips(data["ids"].tolist(), labels.tolist(), classes.tolist())
    metrics["fusion_without"] = {stream: figures.figure(found, labels) for stream, found in without.items()}
    distinct = data["similarity"] < similarity.NEAR_DUPLICATE
    fusion = figures.select(by_method["fusion"], distinct)
    distinct_figure = figures.figure(fusion, labels[distinct]) if distinct.any() else 0.0
    metrics["near_duplicates"] = {"clips": int((~distinct).sum()), "fusion_without": distinct_figure}
    shares = _joined([part.shares for part in evaluated], np.concatenate)
    metrics["share"] = {stream: float(values.mean()) for stream, values in shares.items()}
    metrics = files.rounded(metrics)
    files.write_json("metrics/eval.json", metrics)
    files.write_json("metrics/summary.json", method_table.summary(metrics))
    files.write_json("metrics/cost.json", cost(heads, table.settings, table.provenance))

    # Where a clip may have several classes there is no confusion matrix, and the plot is empty.
    predicted = np.concatenate([part.predicted for part in evaluated])
    confusion = [] if multi_label else zip(classes[labels], classes[predicted], strict=True)
    csv_files.write_rows("plots/confusion.csv", ["actual", "predicted"], confusion)
    csv_files.write_csv("plots/classes.csv", figures.by_class(by_method, labels, classes))
    confidence = {name: figures.confidences(found, labels) for name, found in by_method.items()}
    csv_files.write_csv("plots/reliability.csv", method_table.reliability_by_method(confidence))
    csv_files.write_csv("features/test_clips.csv", [row for part in evaluated for row in part.rows])
    print(method_table.table(metrics))


def _evaluate(
    data: Arrays, heads: Arrays, probes: Arrays, calibration: Mapping[str, Any], figures: ModuleType
) -> _Evaluated:
    """Evaluate all methods on a part of the test clips. figures: method_table or multi_label_table."""
    logits = methods.calibrate(methods.all_logits(heads, probes, data), calibration)
    answers = answer(calibration, logits, heads, data)
    without = {
        stream: figures.outcomes(answers.by_streams[other,], data["label"])
        for stream, other in (("keyframe", "motion"), ("motion", "keyframe"))
    }
    by_method = {name: figures.outcomes(values, data["label"]) for name, values in logits.items()}
    return _Evaluated(by_method, without, answers.predicted, answers.shares, _rows(data, answers, calibration))


def _rows(data: Arrays, answers: Answers, calibration: Mapping[str, Any]) -> list[dict[str, object]]:
    """Return the rows of features/test_clips.csv."""
    if methods.is_multi_label(calibration):
        threshold = calibration["f1_threshold"][calibration["answer"]]
        return multi_label_table.by_clip(data, answers.probabilities, answers.shares, threshold)
    return method_table.by_clip(data, answers.probabilities, answers.shares)


def _joined(parts_of: Sequence[Mapping[str, Any]], join: Callable[[list[Any]], Any]) -> dict[str, Any]:
    """Join the values of each key."""
    return {name: join([part[name] for part in parts_of]) for name in parts_of[0]}


if __name__ == "__main__":
    run_stage("evaluate", main)
