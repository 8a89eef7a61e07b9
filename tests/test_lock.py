"""requirements.lock against requirements.txt."""

import re
import shutil
import subprocess

import pytest
from builders import CHECKOUT
from declared import normal

LINES = (CHECKOUT / "requirements.lock").read_text().splitlines()
PINS = [line for line in LINES if not line.startswith(" ")]


def test_the_lock_has_the_versions_of_the_requirements():
    required = pins_of((CHECKOUT / "requirements.txt").read_text().splitlines())
    locked = pins_of(PINS)
    assert len(required) > 20
    wrong = [name for name, version in required.items() if name not in locked or version not in ("", locked[name])]
    assert wrong == [], "run `make lock`"


def test_every_package_of_the_lock_has_hashes_and_nothing_else_is_in_it():
    assert len(PINS) > 100
    assert all(re.fullmatch(r"[\w.-]+(\[\w+\])?==[\w.!]+( ; .+)? \\", line) for line in PINS), "no host, option or path"
    assert all(re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line) for line in LINES if line not in PINS)
    ends = [line for line in LINES if not line.endswith("\\")]
    assert len(ends) == len(PINS), "each pin is followed by its hashes"


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_installs_the_lock_if_it_is_named():
    command = ["make", "--dry-run", "--always-make", "env", "REQUIREMENTS=requirements.lock"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert "-r requirements.lock\n" in done.stdout


def pins_of(lines):
    """Return the version by package of lines of requirements, empty for any version."""
    parts = [re.match(r"([\w.-]+)(?:\[\w+\])?(?:==([\w.!]+))?", line) for line in lines]
    return {normal(part[1]): part[2] or "" for part in parts if part}
