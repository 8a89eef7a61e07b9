"""`label-next` on small real models."""

import csv
import os
import shutil
from pathlib import Path

import pytest
from builders import sentence_of
from footage import encode, moving
from small_project import CLASSES

from mocliplite.cli import label_next
from mocliplite.cli._main import main

COPIES = ("clips/Falling/0.avi", "clips/Resting/3.avi")


@pytest.fixture
def unlabelled(small_project, tmp_path):
    """A folder with three new clips, one of them twice, and two clips of the data set."""
    for number in range(3):
        encode(tmp_path / f"new{number}.avi", moving(2 * number, 1, frames=8, size=(96, 128)))
    (tmp_path / "later").mkdir()
    shutil.copy(tmp_path / "new0.avi", tmp_path / "new0_copy.avi")
    for number, path in enumerate(COPIES):
        shutil.copy(path, tmp_path / f"later/{number}.avi")
    return tmp_path


def rows_of(path):
    with Path(path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_new_clips_are_listed_once_and_clips_of_the_data_set_are_counted(unlabelled, tmp_path, capsys):
    main(["label-next", str(unlabelled), "--csv", f"{tmp_path}/next.csv"])
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "clips: 6; left out: 2 in the data set already, 1 with the content of another clip"
    rows = rows_of(tmp_path / "next.csv")
    assert list(rows[0]) == list(label_next.COLUMNS)
    assert sorted(row["path"] for row in rows) == [f"{unlabelled}/new{number}.avi" for number in range(3)]
    assert [row["reason"] for row in rows] == ["uncertain", "different", "uncertain"]
    assert [line.split()[0] for line in printed[2:5]] == [row["rank"] for row in rows] == ["1", "2", "3"]
    for row in rows:
        assert row["class"] in CLASSES
        assert 0 <= float(row["margin"]) <= float(row["probability"]) <= 1
        assert float(row["distance"]) > 0


def test_a_second_run_writes_the_same_bytes_and_count_limits_the_list(unlabelled, tmp_path):
    for name in ("one", "two"):
        main(["label-next", str(unlabelled), "--csv", f"{tmp_path}/{name}.csv"])
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()
    main(["label-next", str(unlabelled), "--count", "1", "--csv", f"{tmp_path}/first.csv"])
    assert rows_of(tmp_path / "first.csv") == rows_of(tmp_path / "one.csv")[:1]


def test_bad_files_are_reported_and_the_other_clips_are_listed(unlabelled, capsys):
    (unlabelled / "text.mp4").write_text("this is not a video")
    (unlabelled / "broken.avi").symlink_to("nowhere")
    assert sentence_of(main, ["label-next", str(unlabelled)]) == "2 of 8 clips could not be used; see above."
    printed = capsys.readouterr()
    errors = [line for line in printed.err.splitlines() if line.startswith("error: ")]
    assert f"error: {unlabelled}/broken.avi is not a regular file; remove it." in errors
    assert any(line.startswith(f"error: {unlabelled}/text.mp4 cannot be decoded as video") for line in errors)
    assert len(printed.out.splitlines()) == 5


def test_a_folder_without_new_clips_has_nothing_to_label(small_project, tmp_path, capsys):
    shutil.copy(COPIES[0], tmp_path)
    main(["label-next", str(tmp_path), "--csv", f"{tmp_path}/next.csv"])
    assert "nothing is left to label" in capsys.readouterr().out
    assert rows_of(tmp_path / "next.csv") == []


@pytest.mark.usefixtures("folder")
def test_a_name_that_is_not_utf_8_is_refused_before_clips_are_decoded():
    Path("new").mkdir()
    Path(os.fsdecode(b"new/\xff.avi")).write_bytes(b"")
    assert sentence_of(main, ["label-next", "new", "--csv", "next.csv"]) == (
        "the name of 'new/\\udcff.avi' is not UTF-8, so --csv cannot contain it; rename the file."
    )


@pytest.mark.usefixtures("folder")
def test_a_path_that_is_no_folder_is_an_error():
    assert sentence_of(main, ["label-next", "nowhere"]) == (
        "nowhere is not a folder; give a folder of clips without labels."
    )
