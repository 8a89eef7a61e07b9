"""`cost`: parameters and operations, bytes and milliseconds per clip, measured on small real models."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from builders import sentence_of

from mocliplite.cli._cost import STORES, TIMED, bytes_per_clip, lines, milliseconds
from mocliplite.predict.decoding import PHASES
from mocliplite.predict.recognizer import Recognizer
from mocliplite.store import stores

CLIPS = ["clips/Falling/0.avi", "clips/Rolling/1.avi", "clips/Resting/2.avi"]


def test_every_phase_of_a_prediction_is_timed(small_project):
    phases = milliseconds(CLIPS[:1], "models")
    assert list(phases) == [*PHASES, "encoder", "motion network", "head"]
    assert all(value > 0 for value in phases.values())


def test_milliseconds_are_medians_without_the_clip_that_warms_up(small_project, monkeypatch):
    predicted, scripted = [], iter([1000, 9, 1, 2])
    predict = Recognizer.predict

    def timed(self, paths):
        predicted.extend(paths)
        for prediction in predict(self, paths):
            yield replace(prediction, milliseconds={"head": next(scripted)})

    monkeypatch.setattr(Recognizer, "predict", timed)
    assert milliseconds(CLIPS, "models") == {"head": 2}
    assert predicted == [CLIPS[0], *CLIPS]


def test_a_clip_that_cannot_be_used_is_an_error(small_project):
    assert sentence_of(milliseconds, [CLIPS[0], "gone.avi"], "models").startswith("gone.avi ")


@pytest.mark.parametrize("folder", STORES)
def test_bytes_per_clip_are_those_of_all_shards_divided_by_the_clips(small_project, folder):
    size = sum(path.stat().st_size for path in Path(folder).glob("*.h5"))
    assert bytes_per_clip(folder) == size // 24
    assert len(stores.open_store(folder).ids) == 24


def test_the_tables_show_the_committed_cost_every_store_and_every_phase(small_project):
    cost = json.loads(Path("metrics/cost.json").read_text())
    network, store, phase = ("\n".join(lines(CLIPS[:2], "models"))).split("\n\n")
    assert network.splitlines()[0].split(maxsplit=2) == ["part", "parameters", "MACs per clip"]
    assert [row.replace(",", "").split() for row in network.splitlines()[1:]] == [
        [name, str(part["parameters"]), str(part["macs"])] for name, part in cost.items()
    ]
    assert [row.split() for row in store.splitlines()[1:]] == [
        [folder, f"{bytes_per_clip(folder):,}"] for folder in STORES
    ]
    assert phase.splitlines()[0].endswith("milliseconds  (median of 2 clips)")
    *phases, total = (row.rsplit(maxsplit=1) for row in phase.splitlines()[1:])
    assert [name for name, _ in phases] == [*PHASES, "encoder", "motion network", "head"]
    assert total[0] == "sum"
    assert float(total[1]) == pytest.approx(sum(float(value) for _, value in phases), abs=0.05)


def test_the_first_clips_of_the_data_set_are_timed_by_default(small_project):
    assert any(line.endswith(f"(median of {TIMED} clips)") for line in lines([], "models"))


def test_before_anything_was_trained_the_error_says_what_to_run(folder):
    sentence = sentence_of(list, lines([], "models"))
    assert sentence.startswith("metrics/cost.json ")
    assert "run `dvc repro`" in sentence
