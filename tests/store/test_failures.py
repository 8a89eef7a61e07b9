from pathlib import Path

import stores
from builders import sentence_of

from mocliplite.store import failures


def test_as_many_failures_as_max_failed_allows_are_accepted_and_one_more_is_not():
    failed = {str(i): "no vectors" for i in range(29)}
    assert failures.check_failed({}, 0, 0.0, "motion") is None
    assert failures.check_failed(failed, 100, 0.29, "motion") is None
    sentence = sentence_of(failures.check_failed, {**failed, "29": "no vectors"}, 100, 0.29, "motion")
    assert sentence.startswith("motion: 30 of 100 clips failed, more than the fraction 0.29 ")


def test_failures_are_read_from_the_shards_that_are_there(tmp_path):
    path_of = {key: stores.shard_of(key, "keyframes", tmp_path / "s") for key in stores.IDS}
    first = stores.IDS[0]
    second = next(key for key in stores.IDS if path_of[key] != path_of[first])
    stores.build(tmp_path / "s", "keyframes", failed=[first, second])
    path_of[second].unlink()
    assert failures.recorded_failures(tmp_path / "s") == {first: stores.failure_of(first)}


def test_a_folder_that_another_machine_removed_has_no_failures(tmp_path, monkeypatch):
    def vanished(*_):
        raise FileNotFoundError(tmp_path)

    monkeypatch.setattr(Path, "glob", vanished)
    assert failures.recorded_failures(tmp_path) == {}


def test_too_many_failures_are_listed_with_their_reasons():
    failed = {f"c{i:02d}": "no vectors." for i in reversed(range(12))}
    wanted = [
        "motion: 12 of 40 clips failed, more than the fraction 0.02 that dataset.max_failed allows; "
        "fix or remove them, or raise the limit:",
        *(f"  c{i:02d}: no vectors." for i in range(10)),
        "  and 2 more",
    ]
    assert sentence_of(failures.check_failed, failed, 40, 0.02, "motion") == "\n".join(wanted)


def test_clips_in_a_store_are_reckoned_and_a_lost_or_surplus_clip_is_an_error(tmp_path, capsys):
    ids, folder = stores.IDS, tmp_path / "s"
    stores.build(folder, "keyframes", ids, failed=["clip03"])
    assert list(failures.reckon(folder, ids, "keyframes")) == ["clip03"]
    assert capsys.readouterr().out == "keyframes: 30 clips = 29 stored + 1 failed\n"
    counts = "29 stored and 1 failed"
    tail = f"; delete {folder} and run `dvc repro`."
    assert sentence_of(failures.reckon, folder, [*ids, "new"], "keyframes") == (
        f"keyframes: 31 clips, but {counts} (such as new){tail}"
    )
    assert sentence_of(failures.reckon, folder, ids[1:], "keyframes") == (
        f"keyframes: 29 clips, but {counts} (such as clip00){tail}"
    )
