"""train_probes, train_head and evaluate on a small pairs.h5."""

import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from builders import run_python, sentence_of
from toy import PROVENANCE, SETTINGS, pairs_of, put_pairs

from mocliplite import checkpoint
from mocliplite.evaluation.rows import METHODS
from mocliplite.fusion import pairs
from mocliplite.store import table_file
from stages import evaluate, train_head, train_probes

pytestmark = pytest.mark.usefixtures("folder")
torch.set_num_threads(1)

# Everything that the first two stages write.
FITTED = (
    "models",
    "metrics/head.json",
    "metrics/probes.json",
    "plots/head_training.csv",
    "plots/learning_curve.csv",
    "features/suspicious_labels.csv",
)


def run_stages(arrays, **settings):
    """Run the three stages on these arrays of pairs.h5; return metrics/eval.json."""
    put_pairs(arrays, **settings)
    train_probes.main()
    train_head.main()
    evaluate.main()
    return json.loads(Path("metrics/eval.json").read_text())


def contents(*paths):
    """The bytes of files and of all files in folders, by path."""
    files = [file for path in paths for file in [Path(path), *Path(path).rglob("*")] if file.is_file()]
    return {str(file): file.read_bytes() for file in files}


def fitted():
    """What the first two stages wrote, without the digests that name the files they read."""
    found = contents(*FITTED)
    for folder in ("models/probes", "models/head"):
        config = json.loads(found[f"{folder}/config.json"])
        found[f"{folder}/config.json"] = {key: config[key] for key in config.keys() - {"pairs", "probes"}}
    return found


def read_rows(path):
    with Path(path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def with_shuffled_labels(arrays, split):
    chosen = np.flatnonzero(arrays["split"] == split)
    arrays["label"][chosen] = np.random.default_rng(0).permutation(arrays["label"][chosen])
    return arrays


def test_every_method_has_metrics_and_only_methods_with_both_streams_are_accurate():
    metrics = run_stages(pairs_of(groups=20, noise=0.5))
    for figure in ("top1", "top5", "mean_class", "macro_f1", "calibration"):
        assert set(metrics[figure]) == set(METHODS)
    top1 = {name: row["mean"] for name, row in metrics["top1"].items()}
    assert min(top1["fusion"], top1["ridge"], top1["blend"]) > 0.85
    assert max(top1[name] for name in ("keyframe", "keyframe_probe", "motion", "motion_probe")) < 0.7
    gain = metrics["fusion_minus_best_single"]
    assert 0 < gain["low"] < gain["mean"]
    assert gain["p"] < 0.01
    assert metrics["fusion_without"]["motion"] < 0.7
    assert metrics["share"]["keyframe"] > 0 < metrics["share"]["motion"]


def test_evaluate_does_not_import_torch_and_of_scipy_only_the_special_functions():
    run_stages(pairs_of(groups=20, noise=0.5))
    heavy = "{'torch', 'sklearn', 'scipy.optimize', 'scipy.stats', 'scipy.linalg'}"
    code = (
        "import sys, scipy.special; before = set(sys.modules)\n"  # which imports scipy.linalg in SciPy 1.13
        "from stages import evaluate; evaluate.main()\n"
        f"print(sorted({heavy} & (set(sys.modules) - before)))"
    )
    assert run_python("-c", code).stdout.endswith("\n[]\n")


def test_a_second_run_writes_the_same_bytes():
    run_stages(pairs_of())
    before = contents("models", "metrics", "plots", "features")
    run_stages(pairs_of())
    assert contents("models", "metrics", "plots", "features") == before
    assert len(before) > 12


def test_labels_of_test_clips_do_not_change_what_is_fitted_or_chosen():
    first = run_stages(pairs_of())
    before = fitted()
    second = run_stages(with_shuffled_labels(pairs_of(), "test"))
    assert fitted() == before
    assert len(before) == 9
    assert second["top1"]["fusion"]["mean"] < 0.5 < first["top1"]["fusion"]["mean"]


def test_features_of_test_clips_do_not_change_what_is_fitted_or_chosen():
    run_stages(pairs_of())
    before = fitted()
    arrays = pairs_of()
    for name in ("keyframe", "motion", "motion_logits"):
        arrays[name][arrays["split"] == "test"] *= -3
    run_stages(arrays)
    assert fitted() == before
    assert len(before) == 9


def test_shuffled_train_labels_give_chance_accuracy():
    # Scores of the motion network, from which heads start by default, are those before the labels were shuffled.
    metrics = run_stages(with_shuffled_labels(pairs_of(groups=40), "train"), patience=20, start="random")
    trained = ("keyframe", "keyframe_probe", "motion_probe", "ridge", "fusion")
    # 96 test clips of six classes in groups of two: 1/6, and three standard deviations.
    assert [name for name in trained if abs(metrics["top1"][name]["mean"] - 1 / 6) > 0.16] == []


def test_tables_have_a_row_per_clip_or_bin():
    run_stages(pairs_of())
    assert len(read_rows("features/test_clips.csv")) == 24
    assert len(read_rows("features/suspicious_labels.csv")) == 96
    assert {row["curve"] for row in read_rows("plots/reliability.csv")} == {"calibrated", *METHODS}
    assert len(read_rows("plots/confusion.csv")) == 24


def test_evaluation_by_parts_gives_the_figures_of_all_clips(monkeypatch):
    metrics = run_stages(pairs_of())
    before = contents("metrics", "plots", "features/test_clips.csv")
    monkeypatch.setattr(pairs, "_PART", 5)
    evaluate.main()
    after = contents("metrics", "plots", "features/test_clips.csv")
    assert json.loads(after.pop("metrics/eval.json")) == metrics
    clips, clips_before = (
        list(csv.DictReader(files.pop("features/test_clips.csv").decode().splitlines())) for files in (after, before)
    )
    assert [row["guess"] for row in clips] == [row["guess"] for row in clips_before]
    assert after == {name: before[name] for name in after}
    assert len(after) > 6


def test_plots_have_no_empty_cells_where_the_heads_stop_at_different_epochs():
    run_stages(pairs_of(), patience=1, epochs=30)
    training = read_rows("plots/head_training.csv")
    epochs = Counter(row["curve"] for row in training)
    assert epochs["fusion train"] == epochs["fusion val"] != epochs["keyframe train"] == epochs["keyframe val"]
    for plot in Path("plots").glob("*.csv"):
        assert [row for row in read_rows(plot) if "" in row.values()] == []


def test_near_duplicates_are_counted_and_left_out_of_a_second_top1():
    arrays = pairs_of()
    arrays["similarity"][np.flatnonzero(arrays["split"] == "test")[:5]] = 0.999
    metrics = run_stages(arrays)
    assert metrics["near_duplicates"]["clips"] == 5
    assert 0 < metrics["near_duplicates"]["fusion_without"] <= 1


@pytest.mark.parametrize("stage", [train_head, evaluate])
def test_models_are_refused_on_features_with_other_settings(stage):
    run_stages(pairs_of())
    table = table_file.read_table("features/pairs.h5", "pairs")
    other = {**SETTINGS, "keyframes": {**SETTINGS["keyframes"], "weights": "1"}}
    table_file.write_table("features/pairs.h5", "pairs", table.arrays, other, PROVENANCE)
    assert sentence_of(stage.main) == (
        "models/probes was not fitted on the features in features/pairs.h5 (keyframes: weights differs); "
        "run `dvc repro`."
    )


def test_features_that_are_all_zero_give_chance_accuracy():
    arrays = pairs_of()
    for name in ("keyframe", "motion", "motion_logits"):
        arrays[name] = np.zeros_like(arrays[name])
    metrics = run_stages(arrays)
    # All classes have the same score, and ties count as wrong.
    assert metrics["top1"]["zero_shot"]["mean"] == 0.0
    assert metrics["top1"]["fusion"]["mean"] == 0.0
    assert metrics["top1"]["ridge"]["mean"] == 0.0


def test_validation_and_test_may_have_fewer_clips_than_classes():
    arrays = pairs_of()
    rows = np.flatnonzero((arrays["split"] == "train") | (np.arange(120) % 20 == 12) | (np.arange(120) % 20 == 16))[:-7]
    smaller = {name: values[rows] for name, values in arrays.items() if values.ndim and len(values) == 120}
    metrics = run_stages(arrays | smaller)
    assert 0 < metrics["clips"] < 6
    assert all(row["low"] <= row["mean"] <= row["high"] for row in metrics["top1"].values())


def test_balanced_classes_change_the_heads_and_the_probes_and_raise_the_accuracy_of_rare_classes():
    arrays = pairs_of(groups=20)
    rare = (arrays["label"] < 3) & (arrays["split"] == "train")
    rows = np.flatnonzero(~rare | (np.arange(len(rare)) % 6 == 0))
    arrays |= {name: values[rows] for name, values in arrays.items() if values.ndim and len(values) == len(rare)}
    mean_class = [run_stages(arrays, class_weight=weight)["mean_class"] for weight in (None, "balanced")]
    for name in ("fusion", "ridge"):
        assert mean_class[1][name]["mean"] > mean_class[0][name]["mean"] + 0.02


def test_the_config_of_the_head_has_its_classes_feature_lengths_and_provenance():
    run_stages(pairs_of())
    tensors, config = checkpoint.load("models/head")
    assert config["lengths"] == {"keyframe": 8, "motion": 5}
    assert config["features"] == SETTINGS
    assert len(config["classes"]) == 6
    assert set(config["calibration"]["temperature"]) == set(METHODS)
    assert tensors["fusion.weight1"].shape == (2, 13, 16)
