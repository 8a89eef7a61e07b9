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
    stores.build(tmp_path / "s", "keyframes", failed=[stores.IDS[0], stores.IDS[1]])
    first, second = (tmp_path / "s" / stores.shard_of(stores.IDS[number], "keyframes").name for number in (0, 1))
    assert first != second
    second.unlink()
    assert failures.recorded_failures(tmp_path / "s") == {stores.IDS[0]: stores.failure_of(stores.IDS[0])}


def test_too_many_failures_are_listed_with_their_reasons():
    failed = {f"c{i:02d}": "no vectors." for i in reversed(range(12))}
    wanted = [
        "motion: 12 of 40 clips failed, more than the fraction 0.02 that dataset.max_failed allows; "
        "fix or remove them, or raise the limit:",
        *(f"  c{i:02d}: no vectors." for i in range(10)),
        "  and 2 more",
    ]
    assert sentence_of(failures.check_failed, failed, 40, 0.02, "motion") == "\n".join(wanted)
