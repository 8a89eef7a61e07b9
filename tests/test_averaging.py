import io
import json

import pytest
from builders import sentence_of

from mocliplite import averaging
from mocliplite.__main__ import main
from mocliplite.errors import run


def point(split, fusion, **head):
    settings = {
        "dataset": {"split": split, "root": "clips"},
        "head": {"hidden": 512, **head},
        "compute": {"workers": 2},
    }
    metrics = {"top1": {"fusion": {"mean": fusion}, "motion": {"mean": 0.5}}}
    return {
        "rev": "a",
        "data": {
            "params": {"params.yaml": {"data": settings}},
            "metrics": {"metrics/eval.json": {"data": metrics}, "metrics/data.json": {"error": {"type": "x"}}},
        },
    }


def shown(*points):
    """As `dvc exp show --json` nests them: a commit, its experiments, their revisions; one is still queued."""
    queued = {"revs": [{"rev": "q", "data": None, "error": None}]}
    return json.dumps([{**points[0], "experiments": [{"revs": [one]} for one in points[1:]] + [queued]}])


def test_mean_and_deviation_over_the_splits():
    text = averaging.over_splits(shown(point(1, 0.9), point(2, 0.8), point(3, 0.7)))
    head, motion, fusion = text.splitlines()
    assert head.split() == ["top-1", "by", "split", "1", "2", "3", "mean", "std"]
    assert fusion.split() == ["fusion", "0.900", "0.800", "0.700", "0.800", "0.100"]
    assert motion.split()[-2:] == ["0.500", "0.000"]


def test_other_settings_are_not_mixed_in():
    text = averaging.over_splits(shown(point(1, 0.9), point(2, 0.8), point(2, 0.1, hidden=64), point(3, 0.1, hidden=8)))
    assert text.splitlines()[-1].split() == ["fusion", "0.900", "0.800", "0.850", "0.071"]
    assert text.count("top-1 by split") == 1


def test_one_split_is_not_enough():
    assert sentence_of(averaging.over_splits, shown(point(1, 0.9), point(1, 0.9))).startswith(
        "no two experiments differ"
    )


@pytest.mark.parametrize("text", ["", "[1]", '[{"rev": "a"}]', "{"])
def test_other_input_is_refused(text):
    assert sentence_of(averaging.over_splits, text) == "this is not what `dvc exp show --json` prints; pipe that in."


def test_command_reads_standard_input_and_ends_with_status_2(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("no JSON"))
    with pytest.raises(SystemExit) as left:
        run(lambda: main(["splits"]), status=2)
    assert left.value.code == 2
    assert capsys.readouterr().err.startswith("error: this is not what")
