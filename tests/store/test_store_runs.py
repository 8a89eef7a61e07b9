"""Runs that meet others, are killed, or find no room: the store stays whole, and one sentence says what happened."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from builders import CHECKOUT, sentence_of
from stores import IDS, KINDS, build, bytes_of

from mocliplite import files
from mocliplite.store import stores, table_file

pytestmark = pytest.mark.usefixtures("folder")
every_kind = pytest.mark.parametrize("kind", KINDS)


def holding(path):
    """A process that holds path until it is ended."""
    code = (
        "import sys, time; from pathlib import Path; from mocliplite import files\n"
        "with files.held(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, env=environment)
    assert process.stdout.readline() == b"held\n"
    return process


def test_a_second_run_on_a_store_says_so_and_stops_and_a_killed_one_does_not_block():
    build("s", "keyframes", IDS[:3])
    before = bytes_of("s")
    first = holding("s")
    wanted = "another run is writing s; wait for it, or end it, and run again."
    assert sentence_of(build, "s", "keyframes", IDS) == wanted
    assert bytes_of("s") == before
    first.kill()
    first.wait()
    first.stdout.close()
    build("s", "keyframes", IDS)
    assert stores.open_store("s").ids == IDS


def test_a_killed_run_does_not_block_where_the_file_system_knows_no_locks(monkeypatch):
    import filelock

    monkeypatch.setattr(filelock, "FileLock", filelock.SoftFileLock)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with files.locked(Path("s")):
        assert sentence_of(build, "s", "keyframes").startswith("another run is writing s;")
        record = Path(".s.lock").read_text()
    Path(".s.lock").write_text(record.replace(str(os.getpid()), str(gone.pid), 1))
    build("s", "keyframes")


def test_the_lock_is_no_part_of_the_store():
    build("s", "keyframes")
    assert not any(name.endswith(".lock") for name in bytes_of("s"))


@every_kind
def test_what_killed_runs_left_is_removed(kind):
    build("fresh", kind)
    Path("s").mkdir()
    Path("s/.0003.h5.4242.partial").write_bytes(b"half")
    build("s", kind)
    assert bytes_of("s") == bytes_of("fresh")


def test_left_overs_of_a_single_file_go_when_it_is_written_again_but_not_those_of_living_processes():
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    other = Path(f".t.h5.{os.getppid()}.partial")
    for path in (Path(f".t.h5.{gone.pid}.partial"), other):
        path.write_bytes(b"half")
    table_file.write_table("t.h5", "pairs", {}, {})
    assert sorted(path.name for path in Path().iterdir()) == sorted([other.name, "t.h5"])


@every_kind
def test_a_full_disk_is_one_sentence_and_the_store_still_verifies(kind, small_disk):
    folder = small_disk / "s"
    build(folder, kind, IDS[:10], failed=["clip03"])
    before = bytes_of(folder)
    filler = small_disk / "filler"
    with pytest.raises(OSError, match="No space"):
        filler.write_bytes(bytes(8 << 20))
    sentence = sentence_of(build, folder, kind)
    assert sentence.startswith(f"{folder}/00")
    assert sentence.endswith(
        "cannot be written (No space left on device); make room or mend the permissions and run again: "
        "what was finished is kept."
    )
    assert stores.verify(folder) == []
    assert bytes_of(folder) == before
    filler.unlink()
    build(folder, kind)
    build("fresh", kind, failed=["clip03"])
    assert bytes_of(folder) == bytes_of("fresh")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MB."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], capture_output=True)
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted: this user may not")
    yield place
    subprocess.run(["umount", place], check=True)


@every_kind
def test_a_file_larger_than_allowed_is_one_sentence_too(kind):
    build("s", kind, IDS[:10])
    before, limits = bytes_of("s"), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2048, limits[1]))
    try:
        sentence = sentence_of(build, "s", kind, IDS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "cannot be written (File too large)" in sentence
    assert bytes_of("s") == before


def test_a_folder_that_cannot_be_made_is_one_sentence():
    Path("file").write_text("")
    sentence = sentence_of(build, "file/s", "keyframes")
    assert sentence.startswith("file/s cannot be written (")
    assert sentence.endswith("); mend the permissions.")


def test_another_user_who_may_not_write_gets_one_sentence_and_changes_nothing():
    if os.geteuid() != 0:
        pytest.skip("only root can act for another user")
    build("s", "keyframes", IDS[:3])
    before = bytes_of("s")
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.setgid(65534)
        os.setuid(65534)
        try:
            os.write(writing, sentence_of(build, "s", "keyframes").encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 1000).decode() == "s cannot be written (Permission denied); mend the permissions."
    assert bytes_of("s") == before


SLOW = """
import os, sys, time
sys.path[:0] = [{root!r}, {tests!r}]
import stores
from mocliplite import store
plain = stores.record
def slow(kind, clip_id):
    time.sleep(0.02)
    return plain(kind, clip_id)
stores.record = slow
print("ready", flush=True)
stores.build("s", sys.argv[1])
"""


@every_kind
def test_a_run_killed_at_any_moment_is_made_whole_by_the_next(kind):
    build("fresh", kind)
    wanted = bytes_of("fresh")
    code = SLOW.format(root=str(CHECKOUT), tests=str(CHECKOUT / "tests"))
    kept = []
    for moment in (0.05, 0.2, 0.35, 0.5):
        process = subprocess.Popen([sys.executable, "-c", code, kind], stdout=subprocess.PIPE)
        process.stdout.readline()
        time.sleep(moment)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        done = {path: path.stat().st_ino for path in Path("s").glob("*.h5")}
        asked = build("s", kind)
        kept.append(len(IDS) - len(asked))
        assert all(path.stat().st_ino == inode for path, inode in done.items())
        assert bytes_of("s") == wanted
        for path in Path("s").iterdir():
            path.unlink()
    assert kept[-1] > 0
