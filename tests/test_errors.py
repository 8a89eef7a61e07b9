import subprocess
import sys

import pytest
from imports import ROOT

from mocliplite.errors import UserError, run


def raising(error):
    def main():
        raise error

    return main


@pytest.mark.parametrize("status", [1, 2])
def test_a_mistake_of_the_user_is_one_line_and_a_status(capsys, status):
    with pytest.raises(SystemExit) as left:
        run(raising(UserError("clip.avi is empty; remove it.")), status=status)
    assert left.value.code == status
    assert capsys.readouterr() == ("", "error: clip.avi is empty; remove it.\n")


def test_the_status_of_a_failed_run_is_1():
    with pytest.raises(SystemExit) as left:
        run(raising(UserError("no.")))
    assert left.value.code == 1


@pytest.mark.parametrize("error", [ValueError("ours"), KeyError("ours"), OSError("ours")])
def test_our_own_mistakes_keep_their_traceback(error):
    with pytest.raises(type(error)) as raised:
        run(raising(error))
    assert raised.value is error


def test_an_interrupt_says_how_to_go_on_and_exits_as_shells_expect(capsys):
    with pytest.raises(SystemExit) as left:
        run(raising(KeyboardInterrupt()))
    assert left.value.code == 128 + 2  # SIGINT
    said = "interrupted; what was finished is kept, run the same command again to go on.\n"
    assert capsys.readouterr() == ("", said)


def test_a_run_that_goes_well_says_nothing(capsys):
    run(lambda: None)
    assert capsys.readouterr() == ("", "")


def test_a_reader_that_has_seen_enough_is_no_error():
    code = "from mocliplite.errors import run; run(lambda: print('x' * 10_000_000))"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as process:
        process.stdout.read(1)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0
