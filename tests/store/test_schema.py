"""The README.md of a store."""

import re
from pathlib import Path

import pytest
from builders import run_python
from stores import IDS, KINDS, build

pytestmark = pytest.mark.usefixtures("folder")
every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.mark.parametrize("kind", ["motion", "keyframes"])
def test_the_example_in_the_readme_of_a_store_runs_with_h5py_alone(kind):
    build("s", kind)
    text = Path("s/README.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    Path("example.py").write_text(example)
    code = "import os, sys, runpy; os.chdir('s'); runpy.run_path('../example.py'); print('mocliplite' in sys.modules)"
    lines = run_python("-c", code).stdout.splitlines()
    assert sorted(line.split()[0] for line in lines[:-1]) == IDS
    assert lines[-1] == "False"
    assert '"cell_size": 8' in text


@every_kind
def test_a_new_clip_does_not_change_the_readme(kind):
    build("s", kind, IDS[:3])
    before = Path("s/README.md").read_bytes()
    build("s", kind)
    assert Path("s/README.md").read_bytes() == before
