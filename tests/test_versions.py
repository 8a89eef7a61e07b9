"""The versions that DVC watches instead of source files must be raised when the code changes values."""

import json
import shutil

import pytest
from code_digest import DECIDING, RECORDED, ROOT, deciding_files, digest, state

every_version = pytest.mark.parametrize("name", sorted(DECIDING))


@every_version
def test_the_code_behind_a_version_is_as_recorded(name):
    recorded, current = json.loads(RECORDED.read_text())[name], state()[name]
    advice = f"if values change, raise {name} in mocliplite/versions.py; then run `python tests/code_digest.py`"
    assert current == recorded, advice


@every_version
def test_a_version_covers_its_stages_and_packages(name):
    stages, packages = DECIDING[name]
    files = deciding_files(name)
    assert {f"stages/{stage}.py" for stage in stages} < set(files)
    assert {file.split("/")[1] for file in files if file.startswith("mocliplite/")} == set(packages)


@pytest.fixture
def edited(tmp_path):
    """The digest of a copy of one module, and a function that returns the digest after an edit."""
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
        ("\n\n\nclass", "\n\n\n# a comment\nclass"),
        (") -> int:", ") -> object:"),
        ("_expected: list[int] = []", "_expected: list = []"),
    ],
)
def test_comments_docstrings_and_annotations_do_not_change_the_digest(edited, old, new):
    before, after = edited
    assert after(old, new) == before


@pytest.mark.parametrize(
    ("old", "new"), [("= []", "= [0]"), ("decoded <= order", "decoded < order"), ("[-1:]", "[-2:]")]
)
def test_an_edit_of_the_code_changes_the_digest(edited, old, new):
    before, after = edited
    assert after(old, new) != before
