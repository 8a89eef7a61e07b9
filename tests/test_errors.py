import errno
import io
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from imports import ROOT

from mocliplite.errors import MachineError, UserError, reading, run, writing

pytestmark = pytest.mark.usefixtures("stopping")


def raising(error):
    """A main function that raises the error."""

    def main():
        raise error

    return main


@pytest.mark.parametrize("status", [1, 2])
def test_a_user_error_is_printed_as_one_line_with_the_given_exit_status(capsys, status):
    with pytest.raises(SystemExit) as exited:
        run(raising(UserError("clip.avi is empty; remove it.")), status=status)
    assert exited.value.code == status
    assert capsys.readouterr() == ("", "error: clip.avi is empty; remove it.\n")


def test_a_letter_that_the_output_cannot_hold_is_escaped(monkeypatch):
    pipe_on_windows = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", pipe_on_windows)
    run(lambda: print("caf\xe9 \u8dd1"))
    pipe_on_windows.flush()
    assert pipe_on_windows.buffer.getvalue() == b"caf\xe9 \\u8dd1\n"


def test_the_default_exit_status_is_1():
    with pytest.raises(SystemExit) as exited:
        run(raising(UserError("no.")))
    assert exited.value.code == 1


@pytest.mark.parametrize("error", [ValueError("ours"), KeyError("ours"), OSError("ours")])
def test_other_exceptions_keep_their_traceback(error):
    with pytest.raises(type(error)) as raised:
        run(raising(error))
    assert raised.value is error


def system_error(name, path=None):
    number = getattr(errno, name)
    return OSError(number, os.strerror(number), path)


def test_an_error_of_the_disk_that_no_file_is_known_for_is_one_line(capsys):
    with pytest.raises(SystemExit) as exited:
        run(raising(system_error("EIO", "a/b.h5")))
    assert exited.value.code == 1
    wanted = "error: a/b.h5 cannot be used (Input/output error); check its disk and run again.\n"
    assert capsys.readouterr() == ("", wanted)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no /dev/full")  # noqa: PTH110
def test_output_that_does_not_fit_on_the_disk_is_one_line():
    code = "from mocliplite.errors import run; run(lambda: print('x'))"
    done = subprocess.run(["bash", "-c", f'"{sys.executable}" -c "{code}" > /dev/full'], cwd=ROOT, capture_output=True)
    wanted = b"the output or a temporary file cannot be used (No space left on device); free disk space and run again."
    assert (done.returncode, done.stderr) == (1, b"error: " + wanted + b"\n")


@pytest.mark.parametrize(
    ("name", "advice"),
    [("EIO", "check its disk"), ("ENOSPC", "free disk space"), ("EACCES", "fix the permissions")],
)
def test_errors_of_the_disk_name_the_file_and_what_to_do(name, advice):
    reason = f"({os.strerror(getattr(errno, name))}); {advice} and run again"
    with pytest.raises(MachineError) as raised, reading("a.csv"):
        raise system_error(name)
    assert str(raised.value) == f"a.csv cannot be read {reason}."
    with pytest.raises(MachineError) as raised, writing("a.csv"):
        raise system_error(name)
    assert str(raised.value) == f"a.csv cannot be written {reason}: finished work is kept."


def test_a_name_that_is_too_long_is_one_line(capsys):
    with pytest.raises(SystemExit):
        run(lambda: Path("a" * 5000).stat())
    sentence = f"error: {'a' * 5000} cannot be used (File name too long); choose a shorter name and run again.\n"
    assert capsys.readouterr() == ("", sentence)


def test_full_memory_is_one_line(capsys):
    with pytest.raises(SystemExit) as exited:
        run(raising(MemoryError("8 GiB")), status=2)
    assert exited.value.code == 2
    sentence = "error: memory is full (8 GiB); lower compute.workers, or end other programs, and run again.\n"
    assert capsys.readouterr() == ("", sentence)


@pytest.mark.parametrize("closed", ["stdin", "stdout", "stderr"])
def test_a_standard_stream_that_is_closed_is_an_empty_one(tmp_path, closed):
    """Otherwise the next file that is opened takes its place, and what a library prints goes there."""
    (tmp_path / "child.py").write_text("import os; print(os.open('new', os.O_CREAT), file=open('child', 'w'))")
    code = "import os, subprocess, sys; from mocliplite.errors import run\n"
    code += "def main():\n"
    code += "    print(sys.stdin.read())\n"
    code += "    print(os.open('new', os.O_CREAT), file=open('parent', 'w'))\n"
    code += "    subprocess.run([sys.executable, 'child.py'], check=True)\n"
    code += "run(main)\n"
    redirection = {"stdin": "<&-", "stdout": ">&-", "stderr": "2>&-"}[closed]
    command = f'"{sys.executable}" -c "$1" {redirection}'
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-c", command, "bash", code], cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0
    assert min(int((tmp_path / name).read_text()) for name in ("parent", "child")) > 2


@pytest.mark.skipif(os.name == "nt", reason="Windows does not remove the working folder of a process")
def test_a_working_folder_that_was_removed_is_one_line(tmp_path):
    code = "import os; os.rmdir(os.getcwd()); from mocliplite.errors import run; run(lambda: print(1))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True)
    sentence = b"error: the working folder was removed; change to another one and run again.\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", sentence)


def test_a_file_that_is_missing_is_no_error_of_the_disk():
    with pytest.raises(FileNotFoundError), reading("a.csv"):
        raise system_error("ENOENT")
    with pytest.raises(MachineError, match=r"\(No such file or directory\); check the path and"), writing("a.csv"):
        raise system_error("ENOENT")


def test_an_interrupt_prints_how_to_continue_and_exits_with_status_130(capsys):
    with pytest.raises(SystemExit) as exited:
        run(raising(KeyboardInterrupt()))
    assert exited.value.code == 128 + 2  # SIGINT
    wanted = "interrupted; finished work is kept. Run the same command again to continue.\n"
    assert capsys.readouterr() == ("", wanted)


def test_a_successful_run_calls_main_once_and_prints_nothing(capsys):
    calls = []
    run(lambda: calls.append(1))
    assert calls == [1]
    assert capsys.readouterr() == ("", "")


def test_a_closed_output_pipe_is_not_an_error():
    code = "from mocliplite.errors import run; run(lambda: print('x' * 10_000_000))"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as process:
        process.stdout.read(1)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0


def test_control_characters_are_printed_as_escape_sequences(capsys):
    def main():
        print("a\x1b[31m\x07\x9b2Jb\r\u202ec\u00e9\u200d\n\ttab")
        raise UserError("\x1b]0;title\x07 is not a clip.")

    with pytest.raises(SystemExit):
        run(main)
    captured = capsys.readouterr()
    assert captured.out == "a\\u001b[31m\\u0007\\u009b2Jb\\u000d\\u202ec\u00e9\u200d\n\ttab\n"
    assert captured.err == "error: \\u001b]0;title\\u0007 is not a clip.\n"


def test_json_with_control_characters_stays_json(capsys):
    run(lambda: print(json.dumps({"a": "\x1b\x9b"}, ensure_ascii=False)))
    assert json.loads(capsys.readouterr().out) == {"a": "\x1b\x9b"}


def test_a_thread_can_run_too():
    done = []
    thread = threading.Thread(target=lambda: run(lambda: done.append(1)))
    thread.start()
    thread.join()
    assert done == [1]
