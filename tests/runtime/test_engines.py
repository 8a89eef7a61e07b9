import itertools
import math
import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from builders import CHECKOUT, sentence_of

from mocliplite import params
from mocliplite.errors import UserError
from mocliplite.runtime.engines import map_ahead, map_shards

PROCESSES = replace(params.load(CHECKOUT / "params.yaml").compute, workers=2, engine="processes")
INLINE = replace(PROCESSES, engine="inline")
DIED = (
    "a worker process was ended from outside, most likely for lack of memory; finished shards are kept: run the stage"
    " again, with fewer compute.workers."
)


# The functions mapped are the standard library's where one will do: a worker starts faster without this module.


@pytest.mark.parametrize("compute", [INLINE, PROCESSES])
def test_every_spec_gives_its_result(compute):
    assert sorted(map_shards(math.isqrt, [0, 1, 4, 9, 16, 25], compute)) == [0, 1, 2, 3, 4, 5]


def own_process(_):
    return os.getpid()


def test_the_engine_processes_computes_elsewhere():
    assert os.getpid() not in set(map_shards(own_process, [1, 2], PROCESSES))


@pytest.mark.parametrize("compute", [INLINE, replace(PROCESSES, workers=1)])
def test_inline_and_one_worker_compute_in_the_stages_own_process(compute):
    assert set(map_shards(own_process, [1, 2], compute)) == {os.getpid()}


def test_a_worker_that_dies_is_a_sentence():
    assert sentence_of(list, map_shards(os._exit, [7, 7, 7], PROCESSES)) == DIED


class Slow(list):
    """Specs that come so slowly that the first worker is dead before the last is handed out."""

    def __iter__(self):
        yield self[0]
        time.sleep(1.5)
        yield from self[1:]


def test_a_worker_that_dies_while_specs_are_handed_out_is_a_sentence():
    assert sentence_of(list, map_shards(os._exit, Slow([7, 7]), PROCESSES)) == DIED


@pytest.mark.parametrize("compute", [INLINE, PROCESSES])
def test_a_sentence_raised_in_a_worker_arrives_unchanged(compute):
    with pytest.raises(UserError, match=r"^nowhere\.yaml does not exist; run this in the project folder\.$"):
        list(map_shards(params.load, ["nowhere.yaml", "nowhere.yaml"], compute))


@pytest.mark.parametrize("compute", [INLINE, PROCESSES])
def test_our_own_mistakes_in_a_worker_keep_their_kind(compute):
    with pytest.raises(ValueError, match="nonnegative"):
        list(map_shards(math.isqrt, [-1, -1], compute))


def touch_slowly(path):
    time.sleep(0.05)
    Path(path).touch()


def test_after_a_mistake_shards_that_wait_are_not_begun(tmp_path):
    specs = [None, *(str(tmp_path / str(number)) for number in range(60))]
    with pytest.raises(TypeError):
        list(map_shards(touch_slowly, specs, PROCESSES))
    assert len(list(tmp_path.iterdir())) < 60


def test_no_specs_no_results():
    assert list(map_shards(math.isqrt, [], PROCESSES)) == []


# Ahead


def test_results_come_in_the_order_of_specs():
    def late(number):
        time.sleep(0.02 if number % 2 == 0 else 0)
        return number

    assert list(map_ahead(late, range(12), workers=3)) == list(range(12))


@pytest.mark.parametrize(("workers", "most"), [(1, 3), (3, 7)])
def test_at_most_twice_the_workers_and_one_more_are_under_way(workers, most):
    taken = itertools.count()
    results = map_ahead(abs, taken, workers)
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    # What is given out, what is under way, and this one.
    assert next(taken) == 5 + most - 1


def test_workers_go_ahead_while_a_result_is_used():
    both = threading.Barrier(2, timeout=10)
    results = map_ahead(lambda _: both.wait(), range(2), workers=2)
    assert sorted(results) == [0, 1]


def test_an_error_comes_in_the_place_of_its_result():
    results = map_ahead(math.isqrt, [4, 9, -1, 16], workers=2)
    assert [next(results), next(results)] == [2, 3]
    with pytest.raises(ValueError, match="nonnegative"):
        next(results)
