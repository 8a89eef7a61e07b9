"""What `predict` writes to files: tables that can be continued, and the segments of long videos."""

import argparse
import csv
import json
from itertools import pairwise
from pathlib import Path

import filelock
import pyarrow.parquet as pq
import pytest
from builders import sentence_of
from footage import encode, moving
from PIL import Image

from mocliplite import checkpoint, csv_files, files, locks
from mocliplite.cli import _report, _results_file, _subtitles, _summary, predict
from mocliplite.cli._main import main
from mocliplite.errors import UserError
from mocliplite.predict.timeline import NOTHING, Segment

CLIPS = "clips/Rolling"


def table(path):
    with Path(path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def out(small_project, tmp_path):
    """A path for an output file."""
    return lambda name: str(tmp_path / name)


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """A video in which the content moves down, then to the right, for two seconds each."""
    parts = [moving(0, 4, frames=50, size=(96, 128)), moving(4, 0, frames=50, size=(96, 128))]
    return str(encode(tmp_path_factory.mktemp("film") / "film.avi", [picture for part in parts for picture in part]))


def test_a_folder_becomes_a_table_with_a_row_per_clip_and_a_summary(out, capsys):
    with pytest.raises(UserError, match=r"^1 of 9 clips could not be used"):
        main(["predict", CLIPS, "missing.avi", "--csv", out("a.csv"), "--parquet", out("a.parquet"), "--wide"])
    rows = table(out("a.csv"))
    assert [row["clip"] for row in rows] == [*(f"{CLIPS}/{number}.avi" for number in range(8)), "missing.avi"]
    assert rows[8]["error"] == "missing.avi is not a file; check the path."
    assert rows[8]["class"] == rows[8]["probability"] == ""
    for row in rows[:8]:
        wide = {name: float(value) for name, value in row.items() if name.startswith(_results_file.WIDE)}
        assert f"{_results_file.WIDE}{row['class']}" == max(wide, key=wide.get)
        assert sum(wide.values()) == pytest.approx(1, abs=1e-5)
        assert row["model"] == checkpoint.digest("models/head")[:12]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "files: 9, classified: 8, failed: 1"
    assert lines[-1] == "  failed: missing.avi is not a file; check the path."
    parquet = pq.read_table(out("a.parquet")).to_pylist()
    assert [row["clip"] for row in parquet] == [row["clip"] for row in rows]
    assert parquet[0]["probability"] == float(rows[0]["probability"])
    assert parquet[8]["probability"] is None


def test_several_clips_end_with_how_many_have_a_class_and_how_many_failed(small_project, capsys):
    with pytest.raises(UserError, match="1 of 3"):
        main(["predict", f"{CLIPS}/0.avi", f"{CLIPS}/1.avi", "missing.avi"])
    assert capsys.readouterr().out.splitlines()[-1] == "3 clips = 2 classified + 1 failed"


def test_a_clip_without_a_result_is_an_error():
    given = argparse.Namespace(top=1, json=False, window=None, csv=None, parquet=None, resume=False)
    report = _report.Report(given, _results_file.ResultsFile(given, _results_file.CLIPS, "model"), 2, 2, {})
    report.fail("a.mp4", UserError("a.mp4 is not a file; check the path."))
    assert sentence_of(report.close) == "only 1 of 2 clips have a result; run again."


def test_resume_keeps_complete_rows_and_classifies_the_rest_only(out, monkeypatch):
    path = out("a.csv")
    main(["predict", CLIPS, "--csv", path])
    whole = Path(path).read_bytes()
    lines = whole.splitlines(keepends=True)
    Path(path).write_bytes(b"".join(lines[:4]) + lines[4][:20])  # killed while the fourth row was written
    classified = []
    recognizer = predict._load

    def load(*arguments):
        found, classes, model = recognizer(*arguments)
        return Recording(found, classified), classes, model

    monkeypatch.setattr(predict, "_load", load)
    main(["predict", CLIPS, "--csv", path, "--resume"])
    assert classified == [f"{CLIPS}/{number}.avi" for number in range(3, 8)]
    assert Path(path).read_bytes() == whole


class Recording:
    """A recogniser that notes what it classifies."""

    def __init__(self, recognizer, paths):
        self.recognizer, self.paths = recognizer, paths

    def predict(self, paths):
        self.paths += paths
        return self.recognizer.predict(paths)


def test_a_file_of_another_run_is_not_continued(out, monkeypatch):
    path = out("a.csv")
    main(["predict", f"{CLIPS}/0.avi", "--csv", path])
    assert sentence_of(main, ["predict", CLIPS, "--csv", path]) == (
        f"{path} exists; give --resume to go on where it ends, or another file."
    )
    assert sentence_of(main, ["predict", CLIPS, "--csv", path, "--resume", "--wide"]) == (
        f"{path} is from a run with other options, whose columns differ; give them again, or another file."
    )
    assert sentence_of(main, ["predict", CLIPS, "--resume"]) == "--resume goes on with a file of --csv; give it."
    rows = table(path)
    csv_files.write_rows(path, list(rows[0]), [[*list(row.values())[:4], "0123456789ab"] for row in rows])
    assert sentence_of(main, ["predict", CLIPS, "--csv", path, "--resume"]).startswith(
        f"{path} has rows of the model 0123456789ab, but this is "
    )


@pytest.mark.parametrize("windows", [[], ["--window", "1"]])
def test_resume_tries_failed_clips_again_and_gives_the_file_of_an_undisturbed_run(out, windows, monkeypatch):
    def interrupt(results):
        raise KeyboardInterrupt

    clip = Path(out("b.avi"))
    words = ["predict", f"{CLIPS}/0.avi", str(clip), f"{CLIPS}/2.avi", *windows, "--csv"]
    assert sentence_of(main, [*words, out("a.csv")]) == "1 of 3 clips could not be used; see above."
    assert sentence_of(main, [*words, out("a.csv"), "--resume"]) == "1 of 3 clips could not be used; see above."
    clip.write_bytes(Path(f"{CLIPS}/1.avi").read_bytes())
    with monkeypatch.context() as patch:  # killed before the rows are in order again
        patch.setattr(_results_file.ResultsFile, "close", interrupt)
        with pytest.raises(KeyboardInterrupt):
            main([*words, out("a.csv"), "--resume"])
    main([*words, out("a.csv"), "--resume"])
    main([*words, out("whole.csv")])
    assert Path(out("a.csv")).read_bytes() == Path(out("whole.csv")).read_bytes()


@pytest.mark.parametrize("resume", [[], ["--resume"]])
def test_two_runs_do_not_write_one_file(out, resume):
    path = out("a.csv")
    if resume:
        csv_files.write_rows(path, _results_file.CLIPS, [])
    with locks.locked(Path(path)):
        assert sentence_of(main, ["predict", CLIPS, "--csv", path, *resume]) == (
            f"another run is writing {path}; wait for it or stop it, and run again."
        )
    assert Path(path).exists() == bool(resume)


@pytest.mark.parametrize("kind", [filelock.FileLock, filelock.SoftFileLock])
def test_the_file_of_a_run_is_locked_to_its_end_and_no_lock_file_is_left(out, monkeypatch, kind):
    monkeypatch.setattr(filelock, "FileLock", kind)
    path, add, refused = out("a.csv"), _results_file.ResultsFile.add, []

    def add_while_another_run_begins(results, rows):
        with pytest.raises(UserError, match=r"^another run is writing "), locks.locked(Path(path)):
            pass
        refused.append(rows)
        add(results, rows)

    monkeypatch.setattr(_results_file.ResultsFile, "add", add_while_another_run_begins)
    main(["predict", f"{CLIPS}/0.avi", "--csv", path])
    assert len(refused) == 1
    with pytest.raises(UserError, match="1 of 2"):
        main(["predict", f"{CLIPS}/0.avi", "missing.avi", "--csv", path, "--resume"])
    assert len(refused) == 2
    assert [file.name for file in Path(path).parent.iterdir()] == ["a.csv"]


def test_no_cell_from_a_file_name_is_a_formula(out, tmp_path, monkeypatch):
    clips = Path(CLIPS).resolve()
    monkeypatch.setattr(predict, "_places", lambda clips: ["=1.avi", "-2.avi", "@gone.avi"])
    models = str(Path("models").resolve())
    monkeypatch.chdir(tmp_path)
    for name in ("=1.avi", "-2.avi"):
        Path(name).write_bytes((clips / "0.avi").read_bytes())
    Path("params.yaml").write_bytes((clips.parents[1] / "params.yaml").read_bytes())
    Path("clip").symlink_to(clips.parents[1] / "clip")
    with pytest.raises(UserError, match="1 of 3"):
        main(["predict", "-", "--csv", "a.csv", "--model", models])
    rows = table("a.csv")
    assert [row["clip"] for row in rows] == ["./=1.avi", "./-2.avi", "./@gone.avi"]
    assert rows[2]["error"] == "'@gone.avi is not a file; check the path."


def test_a_glob_in_quotes_stands_for_its_clips(small_project):
    assert predict._clips(["clips/*/[01].avi"])[0] == [
        f"clips/{name}/{number}.avi" for name in ("Falling", "Resting", "Rolling") for number in (0, 1)
    ]
    assert predict._clips(["nothing/*.avi"])[0] == ["nothing/*.avi"]
    # What ** matches has the folders and the clips in them.
    assert predict._clips(["clips/**"])[0] == predict._clips(["clips"])[0]


def test_names_of_no_clip_do_not_hide_the_others(folder):
    names = ["", "a" * 5000, "1.avi"]
    paths, failed = predict._clips(names)
    assert paths == names
    assert {name: str(error) for name, error in failed.items()} == {
        "": "the name of a clip is empty; check the arguments."
    }


def test_a_folder_without_clips_that_matches_a_glob_does_not_hide_the_others(folder):
    for name in ("a/notes.txt", "b/1.avi"):
        Path(name).parent.mkdir()
        Path(name).touch()
    paths, empty = predict._clips(["[ab]"])
    assert paths == ["a", "b/1.avi"]
    assert list(empty) == ["a"]


@pytest.mark.parametrize("option", ["--csv", "--parquet"])
def test_a_name_that_a_table_cannot_contain_is_refused_before_any_work(folder, option):
    Path("clips").mkdir()
    Path("clips/\udcff.avi").touch()
    assert sentence_of(main, ["predict", "clips", option, "a"]) == (
        f"the name of 'clips/\\udcff.avi' is not UTF-8, so {option} cannot contain it; rename the file."
    )


def test_a_table_in_a_folder_whose_name_is_not_utf_8_is_written(folder):
    Path("\udcff").mkdir()
    _results_file._write_parquet("\udcff/a.parquet", ("clip",), [("a.mp4",)])
    Path("\udcff/a.parquet").rename("a.parquet")
    assert pq.read_table("a.parquet").to_pylist() == [{"clip": "a.mp4"}]


def test_what_has_no_probability_is_counted_but_not_as_unsure():
    rows = [
        ("a.mp4", "0", "1", "run", "0.4", "", "m"),
        ("a.mp4", "1", "2", NOTHING, "", "", "m"),
        ("a.mp4", "2", "3", "", "", "", "m"),
        ("a.mp4", "3", "4", "run", "0.8", "", "m"),
    ]
    assert [line.split() for line in _summary.summary(rows, _results_file.SEGMENTS, "segments")[2:]] == [
        ["run", "2", "0.60"],
        ["no", "class", "1", "-"],
        [NOTHING, "1", "-"],
        ["1", "with", "a", "probability", "below", "0.5"],
    ]


def test_a_long_video_becomes_segments_in_all_files(out, film, capsys):
    options = ["--window", "0.8", "--stride", "0.2", "--csv", out("a.csv"), "--srt", out("a.srt")]
    main(["predict", film, *options, "--vtt", out("a.vtt"), "--plot", out("a.png"), "--motion-only", "--json"])
    (found,) = json.loads(capsys.readouterr().out)
    spans = [(segment["start"], segment["end"], segment["class"]) for segment in found["segments"]]
    assert spans[0][0] == 0
    assert spans[-1][1] == pytest.approx(4)
    assert all(one[1] == other[0] for one, other in pairwise(spans))
    rows = table(out("a.csv"))
    assert [(float(row["start"]), float(row["end"]), row["class"]) for row in rows] == spans
    assert Path(out("a.srt")).read_text(encoding="utf-8").count(" --> ") == len(spans)
    assert Path(out("a.vtt")).read_text(encoding="utf-8").startswith("WEBVTT\n\n00:00:00.000 --> ")
    with Image.open(out("a.png")) as picture:
        assert picture.width == 1200


def test_resume_classifies_the_last_video_again_whose_rows_may_be_incomplete(out):
    path, header = out("a.csv"), _results_file.SEGMENTS
    rows = [[clip, "0", "1", "a", "0.5", "", "model"] for clip in ("a.mp4", "b.mp4", "b.mp4")]
    csv_files.write_rows(path, header, rows)
    given = argparse.Namespace(csv=path, parquet=None, resume=True)
    assert _results_file.ResultsFile(given, header, "model").done == {"a.mp4"}
    assert [row["clip"] for row in table(path)] == ["a.mp4"]


def test_resume_does_not_write_to_a_file_that_is_linked_into_a_cache(out):
    path, cached, header = out("a.csv"), Path(out("cached")), _results_file.CLIPS
    csv_files.write_rows(path, header, [["a.mp4", "a", "0.5", "", "model"]])
    cached.hardlink_to(path)
    before = cached.read_bytes()
    given = argparse.Namespace(csv=path, parquet=None, resume=True)
    _results_file.ResultsFile(given, header, "model").add([["b.mp4", "a", "0.5", "", "model"]])
    assert cached.read_bytes() == before
    assert [row["clip"] for row in table(path)] == ["a.mp4", "b.mp4"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--stride", "1"], "--stride is for windows of long videos; give --window, such as 2."),
        (["--motion-only"], "--motion-only is for windows of long videos; give --window, such as 2."),
        (["--window", "1", "--stride", "2"], "--stride is 2, longer than --window, 1; give at most its length."),
        (["--window", "1", "--wide"], "--wide is for whole clips; leave out --window."),
        (
            ["--window", "1", "--plot", "a.jpg"],
            "--plot is a.jpg, which is not the name of a PNG file; choose a name that",
        ),
        (["--window", "1", "--srt", "no/a.srt"], "--srt is no/a.srt, but the folder no does not exist; create it or"),
        (["b.mp4", "--window", "1", "--vtt", "a.vtt"], "--vtt is for one video, but there are 2; use --csv, or give"),
    ],
)
def test_options_that_do_not_go_together_are_refused(small_project, options, sentence):
    assert sentence_of(main, ["predict", f"{CLIPS}/0.avi", *options]).startswith(sentence)


def test_threshold_auto_is_that_of_validation_and_is_printed(small_copy, film, capsys):
    threshold = files.read_json("metrics/head.json")["threshold"]["motion"]
    main(["predict", film, "--window", "0.8", "--motion-only", "--threshold", "auto", "--json"])
    printed = capsys.readouterr()
    assert printed.err.startswith(
        f"threshold {threshold['threshold']:.3f}: {threshold['coverage']:.0%} of {threshold['clips']} validation clips"
    )
    tensors, config = checkpoint.load("models/head")
    del config["calibration"]["threshold"]
    checkpoint.save("models/head", tensors, config)
    assert sentence_of(main, ["predict", film, "--window", "1", "--threshold", "auto"]) == (
        "models/head records no threshold; run `dvc repro`, or give a number to --threshold."
    )
    main(["predict", film, "--window", "0.8", "--motion-only", "--threshold", "1"])
    assert f"  00:00:00.0  00:00:04.0          {NOTHING}\n" in capsys.readouterr().out


def test_subtitles_are_numbered_and_escaped():
    segments = [Segment(0, 61.25, "a<b", 0.876), Segment(3661.25, 3662, "\n\nc\n", 1.0)]
    assert _subtitles.srt(segments) == (
        "1\n00:00:00,000 --> 00:01:01,250\na<b 88%\n\n2\n01:01:01,250 --> 01:01:02,000\nc 100%\n\n"
    )
    assert _subtitles.vtt(segments) == (
        "WEBVTT\n\n00:00:00.000 --> 00:01:01.250\na&lt;b 88%\n\n01:01:01.250 --> 01:01:02.000\nc 100%\n"
    )
