"""The notebook of the documentation, run cell by cell on the results of a small pipeline."""

import json

import matplotlib as mpl
import pytest
from builders import CHECKOUT

NOTEBOOK = json.loads((CHECKOUT / "docs/feature-stores.ipynb").read_text(encoding="utf-8"))


def code_cells():
    return ["".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]


def test_every_cell_runs_and_the_field_is_drawn(small_project, monkeypatch, capsys):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("agg")
    monkeypatch.setattr(pyplot, "show", lambda: None)
    names = {}
    assert len(code_cells()) == 4
    for cell in code_cells():
        exec(compile(cell, "feature-stores.ipynb", "exec"), names)
    (arrows,) = [artist for artist in names["axes"].collections if isinstance(artist, mpl.quiver.Quiver)]
    pyplot.close(names["figure"])
    drawn = arrows.U.size - arrows.Umask.sum()
    assert drawn == (names["field"][names["frame"]][..., 0] > -128).sum() > 0
    store, _, probe = capsys.readouterr().out.splitlines()
    assert store == "24 clips, (24, 1, 8) float32"
    assert 0 < len(names["moving"]) <= len(names["vectors"][0])
    assert probe == f"top-1 on 6 test clips: {names['accuracy']:.3f}"
    # The classes of these clips differ by their motion.
    assert names["accuracy"] > 0.5


def test_the_notebook_is_saved_without_outputs():
    assert NOTEBOOK["nbformat"] == 4
    saved = [cell for cell in NOTEBOOK["cells"] if cell.get("outputs") or cell.get("execution_count")]
    assert saved == []
