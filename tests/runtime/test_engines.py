"""Maps over specs in processes and in threads, and options of the stages that use them."""

import itertools
import math
import os
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from builders import CHECKOUT, sentence_of
from worker_calls import touch_late

from mocliplite import params
from mocliplite.errors import UserError
from mocliplite.runtime import arguments, processes
from mocliplite.runtime.engines import groups, map_ahead, map_specs

PROCESSES = replace(params.load(CHECKOUT / "params.yaml").compute, workers=2, engine="processes")
INLINE = replace(PROCESSES, engine="inline")
KILLED = (
    "a worker process was killed, probably because memory was full; finished shards are kept: lower compute.workers"
    " and run the stage again."
)


# Most mapped functions are from the standard library, because a worker starts faster without importing this module.


@pytest.mark.parametrize("compute", [INLINE, PROCESSES])
def test_all_outcomes_of_every_spec_are_yielded(compute):
    assert sorted(map_specs(list, [[0], [], [1, 2], [3]], compute)) == [0, 1, 2, 3]


def own_process(_):
    return [os.getpid()]


def test_the_engine_processes_runs_in_other_processes():
    assert os.getpid() not in set(map_specs(own_process, [1, 2], PROCESSES))


@pytest.mark.parametrize("compute", [INLINE, replace(PROCESSES, workers=1)])
def test_inline_and_a_single_worker_run_in_this_process(compute):
    assert set(map_specs(own_process, [1, 2], compute)) == {os.getpid()}


def test_a_killed_worker_is_a_user_error():
    assert sentence_of(list, map_specs(os._exit, [7, 7, 7], PROCESSES)) == KILLED


class Slow(list):
    """A list of specs so slow that the first worker has died before the last spec is submitted."""

    def __iter__(self):
        yield self[0]
        time.sleep(1.5)
        yield from self[1:]


def test_a_worker_killed_while_specs_are_submitted_is_a_user_error():
    assert sentence_of(list, map_specs(os._exit, Slow([7, 7]), PROCESSES)) == KILLED


@pytest.mark.parametrize("compute", [INLINE, PROCESSES])
def test_a_user_error_in_a_worker_is_raised_unchanged(compute):
    with pytest.raises(UserError, match=r"^nowhere\.yaml does not exist; run this in the project folder\.$"):
        list(map_specs(params.load, ["nowhere.yaml", "nowhere.yaml"], compute))


@pytest.mark.parametrize("compute", [INLINE, PROCESSES])
def test_other_exceptions_in_a_worker_keep_their_type(compute):
    with pytest.raises(ValueError, match="nonnegative"):
        list(map_specs(math.isqrt, [-1, -1], compute))


def touch_slowly(path):
    time.sleep(0.05)
    Path(path).touch()
    return []


def test_after_an_exception_waiting_shards_are_cancelled(tmp_path):
    specs = [None, *(str(tmp_path / str(number)) for number in range(60))]
    with pytest.raises(TypeError):
        list(map_specs(touch_slowly, specs, PROCESSES))
    assert len(list(tmp_path.iterdir())) < 60


def test_nobody_waits_for_workers_whose_results_are_not_taken(tmp_path):
    soon, late = tmp_path / "soon", tmp_path / "late"
    results = processes.outcomes(touch_late, [(soon, 0), (late, 20)], 2)
    assert next(results) == [soon]
    results.close()
    assert not late.exists()


def test_no_specs_give_no_results():
    assert list(map_specs(list, [], PROCESSES)) == []


def test_only_a_cluster_computes_shards_one_by_one():
    assert groups([1, 2, 3], PROCESSES) == groups([1, 2, 3], INLINE) == [[1, 2, 3]]
    assert groups([1, 2, 3], replace(PROCESSES, engine="dask")) == [[1], [2], [3]]


# arguments


def test_parts_have_each_shard_once(monkeypatch):
    parts = []
    for number in (1, 2, 3):
        monkeypatch.setattr(sys, "argv", ["stage", "--part", f"{number}/3"])
        parts.append(arguments.parse("motion").part)
    assert [[shard for shard in range(7) if part.has(shard)] for part in parts] == [[0, 3, 6], [1, 4], [2, 5]]
    assert [part.name for part in parts] == ["1-of-3", "2-of-3", "3-of-3"]


@pytest.mark.parametrize("part", ["0/4", "5/4", "1/0", "4", "1/x", "-1/4"])
def test_a_part_that_does_not_exist_is_refused(part, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["stage", f"--part={part}"])
    with pytest.raises(SystemExit) as exited:
        arguments.parse("motion")
    assert exited.value.code == 2
    assert f"{part!r} is not a part such as 1/4, the first of four" in capsys.readouterr().err


def test_a_stage_that_decodes_nothing_has_no_failed_clips_to_retry(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["stage", "--retry-failed"])
    assert arguments.parse("motion").retry_failed
    with pytest.raises(SystemExit):
        arguments.parse("embed_motion", decodes=False)


# map_ahead


def test_results_are_in_the_order_of_specs():
    def late(number):
        time.sleep(0.02 if number % 2 == 0 else 0)
        return number

    assert list(map_ahead(late, range(12), workers=3)) == list(range(12))


@pytest.mark.parametrize(("workers", "most"), [(1, 3), (3, 7)])
def test_at_most_twice_the_workers_and_one_more_specs_are_pending(workers, most):
    specs = itertools.count()
    results = map_ahead(abs, specs, workers)
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    # The results returned, the specs pending, and this one.
    assert next(specs) == 5 + most - 1


def test_workers_run_in_parallel():
    both = threading.Barrier(2, timeout=10)
    results = map_ahead(lambda _: both.wait(), range(2), workers=2)
    assert sorted(results) == [0, 1]


def test_an_exception_is_raised_in_place_of_its_result():
    results = map_ahead(math.isqrt, [4, 9, -1, 16], workers=2)
    assert [next(results), next(results)] == [2, 3]
    with pytest.raises(ValueError, match="nonnegative"):
        next(results)
