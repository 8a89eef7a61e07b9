"""The stage split: what it prints."""

from builders import clip_of, put_params

from mocliplite.data.clips import write_clips
from stages import split


def write(run_groups):
    """Write 40 clips of each of two classes, in 40 groups, or those of Run in run_groups groups."""
    groups = {"Hop": 40, "Run": run_groups}
    numbers = [(label, number) for label in groups for number in range(40)]
    clips = [clip_of(f"{label}/{number}.avi", f"{label}{number % groups[label]}") for label, number in numbers]
    write_clips("features/clips.csv", clips)
    put_params(seed=4)


def test_a_class_without_validation_or_test_clips_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write(run_groups=1)
    split.main()
    printed = capsys.readouterr().out
    assert "warning: validation has no clips of 1 classes, such as Run, so epochs" in printed
    assert "warning: the test part has no clips of 1 classes, such as Run, so they are not tested" in printed


def test_there_is_no_warning_if_every_class_is_in_every_part(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write(run_groups=40)
    split.main()
    assert "warning" not in capsys.readouterr().out
