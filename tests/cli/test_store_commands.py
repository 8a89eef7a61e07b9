"""The commands info, verify and export-store."""

from pathlib import Path

import pytest
from builders import put, run_command
from stores import build, flip, shard_of

pytestmark = pytest.mark.usefixtures("folder", "few_shards")


def command(*arguments):
    done = run_command(*arguments)
    assert "Traceback" not in done.stderr
    return done


def test_the_info_command_continues_after_a_path_without_a_store():
    build("s", "keyframes")
    done = command("info", "nowhere", "s")
    assert done.returncode == 2
    assert "error: nowhere is not a feature store" in done.stderr
    assert "kind        keyframes" in done.stdout


def test_the_verify_command_names_damaged_stores():
    build("s", "motion")
    build("t", "keyframes")
    done = command("verify", "s", "t")
    assert (done.returncode, done.stdout) == (0, "s: no damage found\nt: no damage found\n")
    flip(shard_of("clip07", "motion"), -1)
    done = command("verify", "s", "t")
    assert done.returncode == 1
    assert f"{shard_of('clip07', 'motion')}" in done.stdout
    assert done.stderr == "error: damaged stores: 1 of 2; see above.\n"


def test_the_verify_command_continues_after_what_is_no_store_and_calls_it_not_damaged():
    build("s", "keyframes")
    put(".", {"a.csv": "id\n", "models/model.safetensors": ""})
    done = command("verify", "a.csv", "models", "", "s")
    assert (done.returncode, done.stdout) == (2, "s: no damage found\n")
    assert done.stderr.splitlines() == [
        "error: a.csv is no store; give a folder of shards, or an .h5 file such as features/pairs.h5.",
        "error: models is not a feature store; give a store: a folder of shards such as features/keyframes.",
        "error: a name is empty; check the arguments.",
        "error: 3 of 4 stores could not be used; see above.",
    ]


def test_the_export_store_command_prints_the_path_of_the_file():
    build("s", "keyframes")
    assert command("export-store", "s", "--to", "npz").stdout == "s.npz\n"
    assert command("export-store", "s", "--to", "npz", "--out", "other.npz").stdout == "other.npz\n"
    assert Path("other.npz").read_bytes() == Path("s.npz").read_bytes()
    assert command("export-store", "s", "--to", "csv").returncode == 2
    assert command("export-store", "nowhere", "--to", "npz").returncode == 2
