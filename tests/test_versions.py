"""A version that DVC watches instead of source files is raised when the code behind it changes."""

import json
import shutil

import pytest
from code_digest import DECIDING, RECORDED, ROOT, deciding_files, digest, state

VERSION = pytest.mark.parametrize("name", sorted(DECIDING))


@VERSION
def test_deciding_code_is_as_recorded(name):
    recorded, now = json.loads(RECORDED.read_text())[name], state()[name]
    advice = f"if values change, raise {name} in mocliplite/versions.py; then run `python tests/code_digest.py`"
    assert now == recorded, advice


@VERSION
def test_every_version_stands_for_its_stages_and_rooms(name):
    stages, rooms = DECIDING[name]
    files = deciding_files(name)
    assert {f"stages/{stage}.py" for stage in stages} < set(files)
    assert {file.split("/")[1] for file in files if file.startswith("mocliplite/")} == set(rooms)


@pytest.fixture
def copied(tmp_path):
    """A copy of one module, its digest, and a way to edit it."""
    file = "mocliplite/motion/distances.py"
    (tmp_path / file).parent.mkdir(parents=True)
    shutil.copy(ROOT / file, tmp_path / file)

    def after(old, new):
        text = (ROOT / file).read_text()
        assert old in text
        (tmp_path / file).write_text(text.replace(old, new, 1))
        return digest([file], tmp_path)

    return digest([file], tmp_path), after


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""', '"""Changed. '),
        ("\n\n\ndef", "\n\n\n# a remark\ndef"),
        (") -> np.ndarray:", ") -> object:"),
        ("decoded: list[int] = []", "decoded: list = []"),
    ],
)
def test_a_remark_a_docstring_or_an_annotation_changes_no_digest(copied, old, new):
    before, after = copied
    assert after(old, new) == before


@pytest.mark.parametrize(
    ("old", "new"), [("= []", "= [0]"), ("after > 0", "after >= 0"), ("[after - 1]", "[after - 2]")]
)
def test_a_change_of_code_changes_the_digest(copied, old, new):
    before, after = copied
    assert after(old, new) != before
