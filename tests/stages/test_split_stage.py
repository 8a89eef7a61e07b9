"""The stage split: what it prints."""

from pathlib import Path

from builders import clip_of, put_params

from mocliplite import csv_files
from mocliplite.data.clips import write_clips
from mocliplite.data.splits import read_splits
from stages import split


def write(run_groups):
    """Write 40 clips of each of two classes, in 40 groups, or those of Run in run_groups groups."""
    groups = {"Hop": 40, "Run": run_groups}
    clips = [
        clip_of(f"{label}/{number}.avi", f"{label}{number % count}", index)
        for index, (label, count) in enumerate(groups.items())
        for number in range(40)
    ]
    write_clips("features/clips.csv", clips)
    put_params(seed=4)


def test_a_class_without_validation_or_test_clips_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write(run_groups=1)
    split.main()
    printed = capsys.readouterr().out
    assert "warning: classes without validation clips: 1, such as Run; epochs" in printed
    assert "warning: classes without test clips: 1, such as Run; they are not tested" in printed


def test_there_is_no_warning_if_every_class_is_in_every_part(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write(run_groups=40)
    split.main()
    assert "warning" not in capsys.readouterr().out


def test_it_prints_how_many_test_clips_of_the_last_evaluation_stay(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write(run_groups=40)
    split.main()
    assert "evaluation" not in capsys.readouterr().out
    written = Path("features/splits.csv").read_bytes()
    splits = read_splits("features/splits.csv")
    train = next(clip_id for clip_id, part in splits.items() if part == "train")
    evaluated = [*(clip_id for clip_id, part in splits.items() if part == "test"), train, "gone"]
    csv_files.write_rows("features/test_clips.csv", ["id"], [[clip_id] for clip_id in evaluated])
    split.main()
    assert "\n20 of the 22 test clips of the last evaluation are test clips again\n" in capsys.readouterr().out
    assert Path("features/splits.csv").read_bytes() == written
