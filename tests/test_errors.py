import io
import json
import subprocess
import sys

import pytest
from imports import ROOT

from mocliplite.errors import UserError, run


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
