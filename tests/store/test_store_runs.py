"""Concurrent runs, killed runs and full disks: the store remains intact and the error is one sentence."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from builders import CHECKOUT, sentence_of
from stores import IDS, KINDS, build, bytes_of

from mocliplite import files, locks
from mocliplite.interrupts import Stopped
from mocliplite.store import hdf5, stores, table_file, verification, whole_file

pytestmark = pytest.mark.usefixtures("folder")
every_kind = pytest.mark.parametrize("kind", KINDS)


def lock_in_another_process(path):
    """A process that locks path until it is killed."""
    code = (
        "import sys, time; from pathlib import Path; from mocliplite import locks\n"
        "with locks.locked(Path(sys.argv[1])): print('locked', flush=True); time.sleep(60)"
    )
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, env=environment)
    assert process.stdout.readline() == b"locked\n"
    return process


def test_a_second_run_on_a_store_stops_with_an_error_and_a_killed_run_does_not_block():
    build("s", "keyframes", IDS[:3])
    before = bytes_of("s")
    first = lock_in_another_process("s")
    wanted = "another run is writing s; wait for it or stop it, and run again."
    assert sentence_of(build, "s", "keyframes", IDS) == wanted
    assert bytes_of("s") == before
    first.kill()
    first.wait()
    first.stdout.close()
    build("s", "keyframes", IDS)
    assert stores.open_store("s").ids == IDS


@pytest.mark.usefixtures("stopping")
def test_a_signal_in_any_call_of_hdf5_is_raised_when_the_file_is_closed(monkeypatch):
    """Raised in the call, it would be lost in most of them, and end the process in some."""
    calls, at = [], [0]

    def interrupt(call):
        def interrupted_call(*arguments):
            calls.append(call)
            if len(calls) in at:
                signal.raise_signal(signal.SIGTERM)
            return call(*arguments)

        return interrupted_call

    for name in ("write", "flush", "truncate", "seek", "read"):
        monkeypatch.setattr(whole_file._Output, name, interrupt(getattr(whole_file._Output, name)))
    table_file.write_table("whole.h5", "pairs", {"label": np.arange(8)}, {}, {})
    count = len(calls)
    assert count > 5
    for at[0] in range(1, count + 1):
        calls.clear()
        with pytest.raises(Stopped):
            table_file.write_table("a.h5", "pairs", {"label": np.arange(8)}, {}, {})
    assert [str(path) for path in Path().iterdir()] == ["whole.h5"]


@pytest.mark.usefixtures("stopping")
def test_a_signal_stops_the_writing_of_a_long_video_before_its_end(monkeypatch):
    written, compress = [], hdf5.zlib_compress

    def interrupted_compress(content, level):
        written.append(content)
        signal.raise_signal(signal.SIGINT)
        return compress(content, level)

    monkeypatch.setattr(hdf5, "zlib_compress", interrupted_compress)
    with pytest.raises(Stopped), whole_file.create(Path("a.h5")) as file:
        hdf5.write_array(file, "vectors", np.zeros((1000, 64, 64, 2), dtype=np.int8))
    assert len(written) == 1
    assert list(Path().iterdir()) == []


def test_a_killed_run_does_not_block_on_a_file_system_without_locks(monkeypatch):
    import filelock

    monkeypatch.setattr(filelock, "FileLock", filelock.SoftFileLock)
    finished = subprocess.Popen([sys.executable, "-c", ""])
    finished.wait()
    with locks.locked(Path("s")):
        assert sentence_of(build, "s", "keyframes").startswith("another run is writing s;")
        record = Path(".s.lock").read_text()
    Path(".s.lock").write_text(record.replace(str(os.getpid()), str(finished.pid), 1))
    build("s", "keyframes")


def test_the_lock_of_a_killed_run_of_another_machine_names_it_and_the_file_to_delete(monkeypatch):
    import filelock

    monkeypatch.setattr(filelock, "FileLock", filelock.SoftFileLock)
    Path(".s.lock").write_text("1234\nnode7\n")
    assert sentence_of(build, "s", "keyframes") == (
        "a run on node7 is writing s; wait for it or stop it, and run again. If it was killed, delete .s.lock."
    )
    Path(".s.lock").unlink()
    build("s", "keyframes")


def update_part(name):
    """Update a part of the store s, whose shards do not matter here."""
    with stores.updating("s", "keyframes", 0, name):
        Path("s").mkdir(exist_ok=True)


def test_parts_are_updated_at_the_same_time_and_the_whole_store_afterwards():
    first = lock_in_another_process("s.part-1-of-2")
    update_part("2-of-2")
    assert sentence_of(update_part, "1-of-2") == (
        "another run is writing s.part-1-of-2; wait for it or stop it, and run again."
    )
    assert sentence_of(build, "s", "keyframes").startswith("another run is writing s.part-1-of-2;")
    first.kill()
    first.wait()
    first.stdout.close()
    build("s", "keyframes")
    assert sorted(path.name for path in Path().glob(".*")) == [".s.lock"]


def test_a_system_that_deletes_no_open_file_keeps_the_locks_of_parts(monkeypatch):
    update_part("1-of-2")
    unlink = Path.unlink

    def unlink_as_windows(path, missing_ok=False):
        if path.name.endswith(".lock"):
            raise PermissionError
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink_as_windows)
    build("s", "keyframes")
    assert sorted(path.name for path in Path().glob(".*")) == [".s.lock", ".s.part-1-of-2.lock"]


def test_no_part_is_updated_during_a_run_of_the_whole_store(monkeypatch):
    monkeypatch.setattr(stores, "_TURN", 0)
    with locks.locked(Path("s")):
        assert sentence_of(update_part, "1-of-2").startswith("another run is writing s;")


def test_a_part_removes_no_file_of_another_one():
    Path("s").mkdir()
    Path("s/.0003.h5.0a1b2c3d.4242.0.partial").write_bytes(b"half")
    update_part("1-of-2")
    assert [path.name for path in Path("s").iterdir()] == [".0003.h5.0a1b2c3d.4242.0.partial"]


def test_the_lock_file_is_outside_the_store():
    build("s", "keyframes")
    assert not any(name.endswith(".lock") for name in bytes_of("s"))


@every_kind
def test_partial_files_of_killed_runs_are_removed(kind):
    build("fresh", kind)
    Path("s").mkdir()
    Path("s/.0003.h5.4242.partial").write_bytes(b"half")
    build("s", kind)
    assert bytes_of("s") == bytes_of("fresh")


def test_writing_a_file_removes_its_partial_files_except_those_of_running_processes():
    finished = subprocess.Popen([sys.executable, "-c", ""])
    finished.wait()

    def partial(process, host=files._HOST):
        path = Path(f".t.h5.{host}.{process}.0.partial")
        path.write_bytes(b"half")
        return path.name

    partial(finished.pid)
    kept = [partial(os.getppid()), partial(finished.pid, "0a1b2c3d")]  # running; of a machine that shares the folder
    table_file.write_table("t.h5", "pairs", {}, {})
    assert sorted(path.name for path in Path().iterdir()) == sorted([*kept, "t.h5"])


@every_kind
def test_a_full_disk_gives_one_sentence_and_the_store_remains_intact(kind, small_disk):
    folder = small_disk / "s"
    build(folder, kind, IDS[:10], failed=["clip03"])
    before = bytes_of(folder)
    filler = small_disk / "filler"
    with pytest.raises(OSError, match="No space"):
        filler.write_bytes(bytes(8 << 20))
    sentence = sentence_of(build, folder, kind)
    assert sentence.startswith(f"{folder}/00")
    assert sentence.endswith(
        "cannot be written (No space left on device); free disk space and run again: finished work is kept."
    )
    assert verification.verify(folder) == []
    assert bytes_of(folder) == before
    filler.unlink()
    build(folder, kind)
    build("fresh", kind, failed=["clip03"])
    assert bytes_of(folder) == bytes_of("fresh")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small file system requires root")
    yield folder
    subprocess.run(["umount", folder], check=True)


@every_kind
def test_a_file_size_limit_gives_one_sentence(kind):
    build("s", kind, IDS[:10])
    before, limits = bytes_of("s"), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2048, limits[1]))
    try:
        sentence = sentence_of(build, "s", kind, IDS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "cannot be written (File too large)" in sentence
    assert bytes_of("s") == before


def test_a_folder_that_cannot_be_created_gives_one_sentence():
    Path("file").write_text("")
    sentence = sentence_of(build, "file/s", "keyframes")
    assert sentence.startswith("file/s cannot be written (")
    assert sentence.endswith("); check the path and run again: finished work is kept.")


def test_a_user_without_write_permission_gets_one_sentence_and_changes_nothing():
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
    assert os.read(reading, 1000).decode() == (
        "s cannot be written (Permission denied); fix the permissions and run again: finished work is kept."
    )
    assert bytes_of("s") == before


BUILD = """
import sys, time
sys.path[:0] = [{root!r}, {tests!r}]
import stores
record = stores.record
def announced_record(kind, clip_id):
    print(clip_id, flush=True)
    time.sleep(0.02)
    return record(kind, clip_id)
stores.record = announced_record
stores.build("s", sys.argv[1])
"""


@every_kind
def test_the_run_after_a_killed_run_completes_the_store(kind):
    build("fresh", kind)
    wanted = bytes_of("fresh")
    code = BUILD.format(root=str(CHECKOUT), tests=str(CHECKOUT / "tests"))
    reused = []
    for clips, delay in ((1, 0), (8, 0.005), (15, 0.01), (25, 0.015)):
        process = subprocess.Popen([sys.executable, "-c", code, kind], stdout=subprocess.PIPE)
        for _ in range(clips):
            assert process.stdout.readline()
        time.sleep(delay)
        process.kill()
        process.wait()
        process.stdout.close()
        finished = {path: path.stat().st_ino for path in Path("s").glob("*.h5")}
        reused.append(len(IDS) - len(build("s", kind)))
        assert all(path.stat().st_ino == inode for path, inode in finished.items())
        assert bytes_of("s") == wanted
        for path in Path("s").iterdir():
            path.unlink()
    assert reused[-1] > 0
