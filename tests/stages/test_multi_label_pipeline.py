"""The whole pipeline on clips of two classes, of one and of none, and the commands that read what it wrote."""

import json
import shutil
import sys
from pathlib import Path

import pytest
from builders import CHECKOUT, look_for_few_shards, sentence_of
from footage import encode, moving
from small_project import build_multi_label

from mocliplite.cli import _findings, _init
from mocliplite.cli._main import main
from mocliplite.csv_files import read_csv
from mocliplite.files import read_json
from mocliplite.fusion.few_shot import few_shot
from mocliplite.fusion.pairs import read_split
from mocliplite.store.table_file import read_table


@pytest.fixture(scope="module")
def multi_label_models(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        look_for_few_shards(patch)
        return build_multi_label(tmp_path_factory.mktemp("multi"), patch)


@pytest.fixture
def project(multi_label_models, monkeypatch):
    monkeypatch.chdir(multi_label_models)


def run(monkeypatch, capsys, *arguments):
    """Return what a command prints."""
    monkeypatch.setattr(sys, "argv", ["mocliplite", *arguments])
    main()
    return capsys.readouterr().out


@pytest.mark.usefixtures("project")
def test_pairs_have_the_classes_of_each_clip():
    pairs = read_table("features/pairs.h5", "pairs").arrays
    assert pairs["classes"].tolist() == ["Falling", "Rolling"]
    by_folder = {clip_id[0]: row.tolist() for clip_id, row in zip(pairs["ids"], pairs["label"], strict=True)}
    assert by_folder == {"0": [1, 0], "1": [1, 1], "2": [0, 1], "3": [0, 0]}


@pytest.mark.usefixtures("project")
def test_every_method_has_a_mean_average_precision_that_predict_agrees_with(monkeypatch, capsys):
    metrics = read_json("metrics/eval.json")
    assert {"zero_shot", "motion", "ridge", "fusion", "score_fusion", "blend"} < metrics["map"].keys()
    assert all(0 < row["low"] <= row["mean"] <= row["high"] <= 1 for row in metrics["map"].values())
    for row in read_csv("features/test_clips.csv")[:2]:
        (found,) = json.loads(
            run(monkeypatch, capsys, "predict", f"clips/{row['id'].replace('__', '/')}.avi", "--json")
        )
        assert sorted(item["class"] for item in found["classes"]) == [*filter(None, row["guess"].split("|"))]
        assert found["threshold"] == metrics["calibration"]["score_fusion"]["f1_threshold"]


@pytest.mark.usefixtures("project")
def test_the_table_and_the_report_show_average_precision(monkeypatch, capsys, tmp_path):
    assert "mAP   95 % interval    macro F1   threshold   ECE" in run(monkeypatch, capsys, "results")
    run(monkeypatch, capsys, "report", "--out", str(tmp_path / "report.html"))
    page = (tmp_path / "report.html").read_text()
    assert "Average precision of score_fusion, by class" in page
    assert "Confusion matrix" not in page


@pytest.mark.usefixtures("project")
def test_suspicious_labels_and_the_learning_curve_know_several_classes():
    rows = read_csv("features/suspicious_labels.csv")
    assert {row["label"] for row in rows} == {"Falling", "Falling|Rolling", "Rolling", ""}
    sizes = [int(row["clips_per_class"]) for row in read_csv("plots/learning_curve.csv") if row["curve"] == "ridge"]
    assert sizes == sorted(set(sizes))
    assert 0 < read_json("metrics/probes.json")["val"]["ridge"]["val_map"] <= 1
    assert 0 < read_json("metrics/summary.json")["map"] <= 1


@pytest.mark.usefixtures("project")
def test_what_needs_one_class_per_clip_says_so(monkeypatch):
    splits = tuple(read_split("features/pairs.h5", split).arrays for split in ("train", "val", "test"))
    wanted = "few-shot draws a number of clips of each class, but these clips have several (multi_label)."
    assert sentence_of(few_shot, splits, [1], 1, None, None) == wanted


@pytest.mark.usefixtures("project")
def test_the_margin_of_a_clip_to_label_is_the_distance_of_a_class_from_the_threshold(monkeypatch, capsys, tmp_path):
    encode(tmp_path / "new.avi", moving(3, 1, frames=8, size=(96, 128)))
    line = run(monkeypatch, capsys, "label-next", str(tmp_path)).splitlines()[2].split()
    threshold = read_json("metrics/eval.json")["calibration"]["score_fusion"]["f1_threshold"]
    (found,) = json.loads(run(monkeypatch, capsys, "predict", f"{tmp_path}/new.avi", "--json"))
    assert abs(float(line[2]) - threshold) >= float(line[3]) >= 0
    assert all(item["probability"] >= threshold for item in found["classes"])


@pytest.mark.usefixtures("project")
def test_windows_of_long_videos_are_refused(monkeypatch, capsys):
    wanted = "the models find several classes per clip, but a window has one class; predict whole clips."
    assert sentence_of(lambda: run(monkeypatch, capsys, "predict", "clips/0/1.avi", "--window", "1")) == wanted


@pytest.mark.usefixtures("project")
def test_init_sees_the_separator_in_a_list():
    Path("configs").mkdir(exist_ok=True)
    shutil.copy(CHECKOUT / "configs/folder.yaml", "configs")
    found = _findings.inspect_list("list.csv", "clips")
    assert found.dataset.multi_label
    assert found.dataset.shared_groups
    assert "labels: clips with several classes: 8, with none: 8 (dataset.multi_label: true)" in _init.describe(found)
