"""The report of a small project: every part is there, with what the files of the project contain."""

import json
import re
from dataclasses import replace
from pathlib import Path

import browser
import pytest
from builders import sentence_of
from pages import Page

from mocliplite.csv_files import write_csv
from mocliplite.data.clips import read_clips
from mocliplite.evaluation.rows import METHODS
from mocliplite.report import report
from mocliplite.report.predictions import predict_test_clips


def test_the_page_has_every_method_a_confusion_matrix_and_pictures_of_clips(small_project, tmp_path):
    assert report.write(tmp_path / "report.html") == []
    page = Page.of(tmp_path / "report.html")
    metrics = json.loads(Path("metrics/eval.json").read_text())
    for name in METHODS:
        assert f"{name}{metrics['top1'][name]['mean']:.3f}" in page.text
    for text in (
        "Confusion matrix",
        "95\xa0% interval over groups: ",
        "expected calibration error",
        "Learning curve",
    ):
        assert text in page.text
    assert page.tags.count("svg") == 6
    assert page.tags.count("img") >= 1
    assert page.images_without_text == 0


def test_each_part_names_its_method_and_says_where_it_is_not_the_one_that_answers(small_project, tmp_path, monkeypatch):
    metrics = json.loads(Path("metrics/eval.json").read_text())
    for answer in ("blend", "fusion"):
        monkeypatch.setattr(report, "read_metrics", lambda name=answer: metrics | {"answer": name})
        report.write(tmp_path / "report.html")
        text = " ".join(Page.of(tmp_path / "report.html").text.split())
        for part in (
            f"answers with the method {answer}, the marked row",
            f"Confusion matrix of {answer}",
            "Gain from motion, by class: fusion minus keyframe",
            f"{answer} is right, keyframe is wrong",
            f"{answer} is wrong",
            f"Calibration of {answer}",
            f"Reliability diagram of {answer}, the",
            f"predict answers with {answer}, which has no learning curve",
        ):
            assert part in text
        for part in (
            f"predict does not answer with fusion, but with {answer}",
            f"This part compares fusion with keyframe. predict answers with {answer}",
        ):
            assert (part in text) == (answer != "fusion")


def test_no_number_is_on_another_line_than_its_percent_sign(small_project, tmp_path):
    report.write(tmp_path / "report.html")
    text = Page.of(tmp_path / "report.html").text
    assert re.search(r"\d\xa0%", text)
    assert not re.search(r"\d[ \n]+%", text)


def test_the_descriptions_of_the_methods_fit_into_the_page(small_project, tmp_path):
    report.write(tmp_path / "report.html")
    script = "const box = document.querySelector('#methods + .wide'); return [box.scrollWidth, box.clientWidth]"
    with browser.chromium() as driver:
        for width in (800, 1100, 1400):
            browser.show_as(driver, width)
            driver.get((tmp_path / "report.html").as_uri())
            content, box = driver.execute_script(script)
            assert content <= box


def test_controls_in_class_names_are_visible_in_the_report_and_its_charts(small_copy):
    for path in ("features/clips.csv", "plots/classes.csv"):
        Path(path).write_text(Path(path).read_text().replace("Rolling,", "Ro\u202e\x07lling,"))
    predictions = predict_test_clips()
    classes = [name.replace("Rolling", "Ro\u202e\x07lling") for name in predictions.classes]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "predict_test_clips", lambda: replace(predictions, classes=classes))
        patch.setattr(report, "check_test_clips", lambda *_: None)
        report.write("report.html")
    text = Path("report.html").read_text()
    assert text.count(r"Ro\u202e\u0007lling") >= 3
    assert not {"\u202e", "\x07"} & set(text)


def test_test_clips_of_one_group_have_no_interval(small_project, tmp_path, monkeypatch):
    metrics = json.loads(Path("metrics/eval.json").read_text())
    metrics["top1"] = {name: row | {"low": 0.0, "high": 1.0} for name, row in metrics["top1"].items()}
    monkeypatch.setattr(report, "read_metrics", lambda: metrics)
    report.write(tmp_path / "report.html")
    page = Page.of(tmp_path / "report.html")
    assert "(no interval, since all test clips are of one group)" in page.text
    assert "interval over groups" not in page.text.partition("Chance")[0]


def test_metrics_of_other_test_clips_are_refused(small_project, tmp_path, monkeypatch):
    metrics = json.loads(Path("metrics/eval.json").read_text()) | {"test_set": "0a1b2c3d"}
    monkeypatch.setattr(report, "read_metrics", lambda: metrics)
    wanted = "metrics/eval.json was not made from this features/pairs.h5, but from another version; run `dvc repro`."
    assert sentence_of(report.write, tmp_path / "report.html") == wanted


def test_clips_whose_video_is_gone_are_named_and_stay_in_the_gallery(small_project):
    clips = {clip.id: clip for clip in read_clips("features/clips.csv")}
    parts, missing = report.gallery(predict_test_clips(), clips, "blend", "gone")
    shown = [clip for part in parts for clip in part["clips"]]
    assert shown
    assert all(clip["image"] is None for clip in shown)
    assert len(missing) == len(shown)
    assert all(sentence.startswith("gone/") for sentence in missing)


def test_the_gallery_has_wrong_predictions_with_the_highest_confidence_first(small_project):
    predictions, clips = predict_test_clips(), {clip.id: clip for clip in read_clips("features/clips.csv")}
    # The labels of all test clips become another class than the one that is predicted.
    labels = (predictions.predicted + 1) % len(predictions.classes)
    names = {key: predictions.classes[label] for key, label in zip(predictions.ids, labels, strict=True)}
    clips |= {key: replace(clips[key], label=name) for key, name in names.items()}
    parts, _ = report.gallery(replace(predictions, labels=labels), clips, "blend", "clips")
    (wrong,) = (part["clips"] for part in parts if part["title"] == "blend is wrong")
    confidence = [clip["top"][0][1] for clip in wrong]
    assert wrong
    assert all(clip["top"][0][0] != clip["label"] for clip in wrong)
    assert confidence == sorted(confidence, reverse=True)


def test_a_chart_of_many_classes_has_those_with_the_highest_and_the_lowest_values(folder):
    write_csv("plots/classes.csv", [{"class": f"class{n}", "gain": n / 100} for n in range(100)])
    values = report._by_class("gain")
    assert list(values) == [f"class{n}" for n in [*range(99, 79, -1), *range(19, -1, -1)]]


def test_only_the_first_failures_are_listed_with_their_number(small_project, tmp_path, monkeypatch):
    failures = [{"store": "motion", "id": f"clip{n:02d}", "reason": "too short"} for n in range(30)]
    monkeypatch.setattr(report, "_failures", lambda: failures)
    report.write(tmp_path / "report.html")
    text = Page.of(tmp_path / "report.html").text
    assert "The first 12 of 30; failures.csv" in text
    assert "clip11 (motion): too short" in text
    assert "clip12" not in text


def test_of_too_many_classes_there_is_no_confusion_matrix_and_tables_have_both_ends(
    small_project, tmp_path, monkeypatch
):
    sizes = {"only_size": "", "top1": 0.5, "chance": 0.0002, "classes": {"low": 0.1, "mid": 0.2, "high": 0.3}}
    monkeypatch.setattr(report, "frame_size_accuracy", lambda *_: sizes)
    monkeypatch.setattr(report, "MOST_CLASSES", 2)
    monkeypatch.setattr(report, "BARS", 2)
    report.write(tmp_path / "report.html")
    page = Page.of(tmp_path / "report.html")
    assert page.tags.count("svg") == 5
    assert "Of 3 classes, no chart is legible; plots/confusion.csv" in page.text
    assert "the 1 with the lowest gain; all 3 are in plots/classes.csv" in page.text
    assert "chance is 0.02\xa0%" in page.text
    assert "by class: the 1 highest and the 1 lowest of 3 classesclassaccuracyhigh0.30low0.10" in page.text.replace(
        "\n", ""
    )
