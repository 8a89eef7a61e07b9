"""What a clip costs, as a table."""

import json
from pathlib import Path

import numpy as np
import pytest
from builders import sentence_of, write_motion

from mocliplite.cli import _cost
from mocliplite.cli._cost import bytes_a_clip, lines, milliseconds
from mocliplite.errors import UserError
from mocliplite.predict import recognizer
from mocliplite.predict.recognizer import Answer
from mocliplite.store import stores

pytestmark = pytest.mark.usefixtures("folder")

SPENT = {"a.mp4": (9.0, 3.0), "b.mp4": (1.0, 5.0), "c.mp4": (2.0, 4.0)}


class Recogniser:
    """Says how long it took, and for the first time ten times as long."""

    def __init__(self):
        self.warm = False

    def answers(self, paths):
        for path in paths:
            times = 1 if self.warm else 10
            self.warm = True
            if path not in SPENT:
                yield UserError(f"{path} is not here.")
            else:
                vectors, head = SPENT[path]
                yield Answer(path, [], {}, {"vectors": times * vectors, "head": times * head})


@pytest.fixture(autouse=True)
def trained(monkeypatch):
    monkeypatch.setattr(recognizer.Recognizer, "load", lambda *_: Recogniser())


def test_milliseconds_are_medians_of_warm_clips():
    assert milliseconds(list(SPENT), "models") == {"vectors": 2.0, "head": 4.0}


def test_a_clip_that_cannot_be_used_is_its_sentence():
    assert sentence_of(milliseconds, ["a.mp4", "gone.mp4"], "models") == "gone.mp4 is not here."


def test_bytes_a_clip_are_all_shards_by_all_clips():
    write_motion("motion", {f"clip{i}": np.zeros((5, 4, 4, 2), dtype=np.int8) for i in range(3)})
    size = sum(path.stat().st_size for path in Path("motion").glob("*.h5"))
    assert bytes_a_clip("motion") == size // 3


def test_a_line_for_each_part_store_and_phase(monkeypatch):
    Path("metrics").mkdir()
    parts = {"motion": {"parameters": 1234, "macs": 5678901}, "total": {"parameters": 2000, "macs": 6000000}}
    Path("metrics/cost.json").write_text(json.dumps(parts))
    monkeypatch.setattr(_cost, "STORES", ("motion",))
    write_motion("motion", {"clip": np.zeros((5, 4, 4, 2), dtype=np.int8)})
    assert [line.split()[:2] for line in lines(["a.mp4", "b.mp4"], "models")] == [
        ["part", "parameters"],
        ["motion", "1,234"],
        ["total", "2,000"],
        ["store", "bytes"],
        ["motion", f"{bytes_a_clip('motion'):,}"],
        ["phase", "milliseconds"],
        ["vectors", "5.00"],
        ["head", "4.00"],
        ["sum", "9.00"],
    ]
    assert stores.open_store("motion").ids == ["clip"]


def test_before_anything_was_trained_it_says_what_to_do():
    assert sentence_of(list, lines([], "models")).startswith("metrics/cost.json is not here; run `dvc repro`")
