"""A failing disk loses nothing, and nothing is written through a link: benchmarks/faults_disk.py on a few clips."""

import errno
import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from builders import CHECKOUT

from benchmarks import failing_disk, faults_disk

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("cc") is None, reason="the library of faults needs Linux and a C compiler"
)
SHORT = ("split", "motion", "pairs", "train_probes", "train_head", "evaluate")


def outcomes(folder, *options):
    """Return what the benchmark counts in a project."""
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    command = [sys.executable, "-m", "benchmarks.faults_disk", *options]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr  # what was wrong may be anywhere
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """The library of faults."""
    return failing_disk.build_library(tmp_path_factory.mktemp("library"))


def run_with_faults(library, folder, code, call, **fault):
    """Run Python code in a folder in which calls fail; return its output and the log of the library."""
    log, count = library.with_name("log"), library.with_name("count")
    log.write_text("")
    count.write_bytes(bytes(8))
    place = {"FAULT_FOLDER": str(folder), "FAULT_LOG": str(log), "FAULT_COUNT": str(count), "FAULT_CALL": call}
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "LD_PRELOAD": str(library), **place, **fault}
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True)
    return done.stdout + done.stderr, log.read_text().splitlines()


LINKS = """
import os
from pathlib import Path
for name in ("plain", "hard", "target"):
    Path(name).touch()
os.link("hard", "other")
Path("symbolic").symlink_to("target")
for name in ("plain", "hard", "symbolic"):
    Path(name).read_bytes()
    Path(name).write_bytes(b"x")
"""


def test_the_library_notices_files_that_are_opened_for_writing_through_links(library, tmp_path):
    _, log = run_with_faults(library, tmp_path, LINKS, "all")
    assert [line for line in log if line.startswith("linked")] == ["linked hard", "linked symbolic"]


EACH_READ = """
import os
from pathlib import Path
from mocliplite.errors import UserError
from mocliplite.store import stores
count, log = Path(os.environ["FAULT_COUNT"]), Path(os.environ["FAULT_LOG"])
for at in range(1, 10**9, 41):
    count.write_bytes(bytes(8))
    log.write_text("")
    os.environ["FAULT_AT"] = str(at)
    try:
        store = stores.open_store("features/motion_embeddings")
        store.read(store.ids)
        print("fine")
    except UserError as error:
        print(error)
    if not log.read_text():
        break
"""


def test_a_read_error_of_hdf5_is_one_of_the_disk_and_not_damage(library, small_models):
    output, _ = run_with_faults(library, small_models, EACH_READ, "read", FAULT_ERROR=str(errno.EIO))
    *failed, last = output.splitlines()
    assert last == "fine"
    assert len(failed) > 5
    sentences = {re.sub(r"/\d+\.h5", "/N.h5", line) for line in failed}
    advice = "(Input/output error); check its disk and run again."
    assert sentences == {f"features/motion_embeddings/N.h5 cannot be read {advice}"}


@pytest.mark.parametrize(("found", "holds"), [("a,b\n1,2\n", True), ("a,b\n1,", False), ("a,b\n7,2\n", False)])
def test_a_table_that_grows_may_end_after_any_row(tmp_path, found, holds):
    path = tmp_path / "table.csv"
    path.write_text(found)
    assert failing_disk.has_part(path, b"a,b\n1,2\n3,4\n") == holds


def test_a_fault_of_each_kind_stops_a_stage_with_a_sentence_and_the_next_run_gives_the_same_bytes(small_models):
    found = outcomes(small_models, "--faults", "1", "--steps", *SHORT)
    assert found.keys() == faults_disk.KINDS.keys()
    assert found["full disk"]["stopped"] == 1
    assert found["short writes"]["went on"] == 1


@pytest.mark.long
def test_so_do_faults_in_all_stages_and_commands(small_models, tmp_path):
    folder = shutil.copytree(small_models, tmp_path / "project")
    shutil.copytree(CHECKOUT / "configs", folder / "configs")  # for init
    found = outcomes(folder, "--faults", "20", "--seed", "1")
    assert {counts.get("stopped", 0) + counts.get("went on", 0) for counts in found.values()} == {20}
