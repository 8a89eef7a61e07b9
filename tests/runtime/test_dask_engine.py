"""The engine dask: workers that die, hang, or are not as they should be; a scheduler that is lost."""

import os
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import worker_calls
from builders import CHECKOUT, sentence_of
from cluster import Cluster

from mocliplite import params
from mocliplite.runtime.engines import map_specs

COMPUTE = replace(params.load(CHECKOUT / "params.yaml").compute, engine="dask", workers=2, time_limit=1)


def test_without_the_package_the_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.delitem(sys.modules, "mocliplite.runtime.dask_engine", raising=False)
    monkeypatch.delattr("mocliplite.runtime.dask_engine", raising=False)
    assert sentence_of(list, map_specs(list, [[1]], COMPUTE)) == (
        'compute.engine dask needs distributed, which is not installed; run `pip install ".[dask]"`.'
    )


@pytest.fixture
def dask_engine():
    pytest.importorskip("distributed", reason="requirements-dask.txt is not installed")
    from mocliplite.runtime import dask_engine

    return dask_engine


@pytest.fixture(scope="module")
def shared_cluster(tmp_path_factory):
    pytest.importorskip("distributed", reason="requirements-dask.txt is not installed")
    with Cluster(tmp_path_factory.mktemp("cluster"), workers=2) as cluster:
        yield cluster


@pytest.fixture
def compute(shared_cluster, folder):
    return replace(COMPUTE, scheduler=str(shared_cluster.file))


def test_calls_run_on_workers_with_the_settings_of_this_process(compute):
    (found,) = map_specs(worker_calls.meet, [("a", "a")], compute)
    process, settings = found
    assert process != os.getpid()
    assert settings == (False, "COMPATIBLE")


def test_without_a_scheduler_calls_run_at_the_same_time_on_this_machine(dask_engine, folder):
    found = list(map_specs(worker_calls.meet, [("a", "b"), ("b", "a")], COMPUTE))
    assert len({process for process, _ in found} | {os.getpid()}) == 3


def test_the_spec_of_a_worker_that_died_is_given_to_another(compute):
    assert sorted(map_specs(worker_calls.die_once, ["a", "b"], compute)) == ["a", "b"]


def test_the_spec_of_a_call_that_hangs_is_given_to_another(compute):
    Path("fast").touch()
    assert list(map_specs(worker_calls.hang_once, ["slow", "fast"], compute)) == ["fast", "slow"]


def test_a_spec_whose_workers_always_die_does_not_end_the_run_of_others(compute, dask_engine, monkeypatch):
    monkeypatch.setattr(dask_engine, "_DEATHS", 1)
    found = []
    assert sentence_of(found.extend, map_specs(worker_calls.die, ["poison", *"abcd"], compute)) == (
        "the workers of 1 of 5 parts died each time, probably because memory was full; all other shards are kept: see "
        "the logs of the workers, and run the stage again."
    )
    assert sorted(found) == list("abcd")


def test_a_user_error_on_a_worker_is_raised_unchanged(compute):
    assert (
        sentence_of(list, map_specs(worker_calls.fail, ["clips.csv"], compute)) == "clips.csv does not exist; make it."
    )


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, None),
        ({"nthreads": 2}, "must have a nanny and one thread; start it with `--nthreads 1`."),
        ({"nanny": None}, "must have a nanny and one thread; start it with `--nthreads 1`."),
        ({"code": {"mocliplite": "0.0.1"}}, "has another version of mocliplite; install the same one there."),
        (
            {"folder": "nowhere"},
            "cannot open nowhere (No such file or directory); all machines must have the project in the same folder, "
            "which they share.",
        ),
    ],
)
def test_workers_that_are_not_as_they_should_be_are_refused(changes, wanted, dask_engine, monkeypatch, folder):
    given = {"nthreads": 1, "nanny": "tcp://10.0.0.1:4001", "code": dask_engine._code(), "folder": "."} | changes
    state, memory = SimpleNamespace(nthreads=given["nthreads"]), SimpleNamespace(memory_limit=None)
    worker = SimpleNamespace(address="tcp://10.0.0.1:4000", nanny=given["nanny"], state=state, memory_manager=memory)
    monkeypatch.setattr(dask_engine, "get_worker", lambda: worker)
    monkeypatch.setenv("MOCLIPLITE_RUN", "this")
    call = dask_engine._call, "this", given["code"], given["folder"], iter, [1, 2]
    if wanted is None:
        assert dask_engine._call(*call[1:]) == [1, 2]
    else:
        assert sentence_of(*call) == f"the worker tcp://10.0.0.1:4000 {wanted}"


def test_a_lost_scheduler_is_one_sentence(dask_engine, tmp_path):
    def lose():
        while not (tmp_path / "called").exists():
            time.sleep(0.05)
        cluster.scheduler.kill()

    with Cluster(tmp_path, 1) as cluster:
        compute = replace(COMPUTE, scheduler=str(cluster.file))
        threading.Thread(target=lose).start()
        assert sentence_of(list, map_specs(worker_calls.wait_for, [str(tmp_path / "called")], compute)) == (
            "the Dask scheduler was lost; finished shards are kept: start it and its workers again, and run the stage "
            "again."
        )


def test_a_scheduler_that_does_not_answer_is_one_sentence(dask_engine, monkeypatch):
    monkeypatch.setattr(dask_engine, "_CONNECT_LIMIT", 1)
    compute = replace(COMPUTE, scheduler="tcp://127.0.0.1:1")
    sentence = sentence_of(list, map_specs(worker_calls.fail, [1], compute))
    assert sentence.startswith("no scheduler answers at compute.scheduler, tcp://127.0.0.1:1 (")
    assert sentence.endswith("); start it, or correct the setting.")


def test_a_scheduler_file_that_is_not_there_is_one_sentence(dask_engine):
    compute = replace(COMPUTE, scheduler="nowhere.json")
    assert sentence_of(list, map_specs(worker_calls.fail, [1], compute)) == (
        "compute.scheduler is nowhere.json, which is neither a file nor an address such as tcp://10.0.0.1:8786; start "
        "a scheduler first: `python -m dask scheduler --scheduler-file FILE`."
    )
