"""train_probes, train_head and evaluate on a small pairs.h5."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from builders import sentence_of
from toy import MADE_OF, pairs_of, put_pairs

from mocliplite import checkpoint
from mocliplite.evaluation import method_table
from mocliplite.store import table_file
from stages import evaluate, train_head, train_probes

pytestmark = pytest.mark.usefixtures("folder")
torch.set_num_threads(1)

FITTED = ("models", "metrics/head.json", "metrics/probes.json", "plots/head_training.csv", "plots/learning_curve.csv")


def run_all(arrays, **settings):
    put_pairs(arrays, **settings)
    train_probes.main()
    train_head.main()
    evaluate.main()
    return json.loads(Path("metrics/eval.json").read_text())


def contents(*places):
    files = [path for place in places for path in [Path(place), *Path(place).rglob("*")] if path.is_file()]
    return {str(path): path.read_bytes() for path in files}


def rows(path):
    with Path(path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def shuffled(arrays, part):
    chosen = np.flatnonzero(arrays["split"] == part)
    arrays["label"][chosen] = np.random.default_rng(0).permutation(arrays["label"][chosen])
    return arrays


def test_every_way_is_judged_and_fusion_alone_knows_both_halves():
    metrics = run_all(pairs_of())
    for figure in ("top1", "top5", "mean_class", "macro_f1", "calibration"):
        assert set(metrics[figure]) == set(method_table.METHODS)
    top1 = {name: row["mean"] for name, row in metrics["top1"].items()}
    assert min(top1["fusion"], top1["ridge"], top1["blend"]) > 0.85
    assert max(top1[name] for name in ("keyframe", "keyframe_probe", "motion", "motion_probe")) < 0.7
    gain = metrics["fusion_minus_best_single"]
    assert 0 < gain["low"] < gain["mean"]
    assert gain["p"] < 0.01
    assert metrics["fusion_without"]["motion"] < 0.7
    assert metrics["share"]["keyframe"] > 0 < metrics["share"]["motion"]


def test_running_again_gives_the_same_bytes():
    run_all(pairs_of())
    before = contents("models", "metrics", "plots", "features")
    run_all(pairs_of())
    assert contents("models", "metrics", "plots", "features") == before
    assert len(before) > 12


def test_labels_of_test_clips_change_nothing_that_is_fitted_or_chosen():
    first = run_all(pairs_of())
    before = contents(*FITTED, "features/suspicious_labels.csv")
    second = run_all(shuffled(pairs_of(), "test"))
    assert contents(*FITTED, "features/suspicious_labels.csv") == before
    assert len(before) == 9
    assert second["top1"]["fusion"]["mean"] < 0.5 < first["top1"]["fusion"]["mean"]


def test_features_of_test_clips_change_nothing_that_is_fitted_or_chosen():
    run_all(pairs_of())
    before = contents(*FITTED)
    arrays = pairs_of()
    for name in ("keyframe", "motion", "motion_logits"):
        arrays[name][arrays["split"] == "test"] *= -3
    run_all(arrays)
    assert contents(*FITTED) == before


def test_shuffled_train_labels_leave_chance():
    metrics = run_all(shuffled(pairs_of(groups=40), "train"), patience=20)
    trained = ("keyframe", "keyframe_probe", "motion_probe", "ridge", "fusion")
    # 96 test clips of six classes: 1/6, and three deviations of groups of two.
    assert [name for name in trained if abs(metrics["top1"][name]["mean"] - 1 / 6) > 0.16] == []


def test_files_to_look_at_have_their_rows():
    run_all(pairs_of())
    assert len(rows("features/test_clips.csv")) == 24
    assert len(rows("features/suspicious_labels.csv")) == 96
    assert rows("plots/reliability.csv")[0].keys() == {"confidence", *method_table.METHODS}
    assert all(row["fusion_val_loss"] or row["keyframe_val_loss"] for row in rows("plots/head_training.csv"))
    assert len(rows("plots/confusion.csv")) == 24


def test_near_duplicates_are_counted_and_left_out_of_a_second_figure():
    arrays = pairs_of()
    arrays["similarity"][np.flatnonzero(arrays["split"] == "test")[:5]] = 0.999
    metrics = run_all(arrays)
    assert metrics["near_duplicates"]["clips"] == 5
    assert 0 < metrics["near_duplicates"]["fusion_without"] <= 1


@pytest.mark.parametrize("stage", [train_head, evaluate])
def test_models_are_refused_on_other_features(stage):
    run_all(pairs_of())
    table = table_file.read_table("features/pairs.h5", "pairs")
    other = {**MADE_OF, "keyframes": {**MADE_OF["keyframes"], "weights": "1"}}
    table_file.write_table("features/pairs.h5", "pairs", table.arrays, other)
    wanted = "models/probes was fitted on other features than features/pairs.h5 holds (keyframes: weights differs)"
    assert sentence_of(stage.main) == f"{wanted}; run `dvc repro`."


def test_features_that_are_all_zero_end_in_chance_not_in_an_error():
    arrays = pairs_of()
    for name in ("keyframe", "motion", "motion_logits"):
        arrays[name] = np.zeros_like(arrays[name])
    metrics = run_all(arrays)
    # Ties count as wrong; a head that sees nothing answers one class for all.
    assert metrics["top1"]["zero_shot"]["mean"] == 0.0
    assert metrics["top1"]["fusion"]["mean"] == pytest.approx(1 / 6, abs=1e-4)
    assert metrics["top1"]["ridge"]["mean"] == 0.0


def test_fewer_clips_for_validation_and_test_than_classes_will_do():
    arrays = pairs_of()
    kept = np.flatnonzero((arrays["split"] == "train") | (np.arange(120) % 20 == 12) | (np.arange(120) % 20 == 16))[:-7]
    cut = {name: values[kept] for name, values in arrays.items() if values.ndim and len(values) == 120}
    metrics = run_all(arrays | cut)
    assert 0 < metrics["clips"] < 6
    assert all(row["low"] <= row["mean"] <= row["high"] for row in metrics["top1"].values())


def test_a_model_tells_what_it_was_made_for():
    run_all(pairs_of())
    tensors, config = checkpoint.load("models/head")
    assert config["lengths"] == {"keyframe": 8, "motion": 5}
    assert config["features"] == MADE_OF
    assert len(config["classes"]) == 6
    assert set(config["calibration"]["temperature"]) == set(method_table.METHODS)
    assert tensors["fusion.weight1"].shape == (2, 13, 16)
