import io
import json

import pytest
from builders import sentence_of

from mocliplite.__main__ import main
from mocliplite.errors import run
from mocliplite.evaluation import cross_split


def point(split, fusion, rev="466426e2b0f0", name=None, **head):
    """A commit or experiment as `dvc exp show --json` of DVC 3.67.1 prints it."""
    settings = {
        "dataset": {"split": split, "root": "clips"},
        "head": {"hidden": 512, **head},
        "compute": {"workers": 2},
    }
    metrics = {"top1": {"fusion": {"mean": fusion}, "motion": {"mean": 0.5}}}
    figures = {"metrics/eval.json": {"data": metrics}, "metrics/data.json": {"error": {"type": "FileNotFoundError"}}}
    return {
        "rev": rev,
        "name": name,
        "data": {
            "rev": rev,
            "params": {"params.yaml": {"data": settings}},
            "metrics": {} if fusion is None else figures,
        },
        "error": None,
        "experiments": None,
    }


def experiment(one, state="success"):
    """An experiment that the queue ran, or is to run: the state stands in its executor, in `error` what failed."""
    failed = {"msg": "Experiment run failed", "type": ""} if state == "failed" else None
    return {"revs": [one | {"error": failed}], "executor": {"state": state, "name": "dvc-task"}, "name": one["name"]}


def shown(*points, workspace=None, others=()):
    """The workspace, a commit, and its experiments; where one was run in the workspace, DVC names no executor."""
    experiments = [{"revs": [one], "executor": None, "name": None} for one in points[1:]]
    rows = [point(1, None, "workspace") if workspace is None else workspace, points[0]]
    return json.dumps([rows[0], {**rows[1], "experiments": [*experiments, *others]}])


def averaged(monkeypatch, capsys, text, status=0):
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    if status:
        with pytest.raises(SystemExit) as left:
            run(lambda: main(["splits"]), status=2)
        assert left.value.code == status
    else:
        main(["splits"])
    return capsys.readouterr()


def test_mean_and_deviation_over_the_splits():
    ((table,), left_out) = cross_split.mean_over_splits(shown(point(1, 0.9), point(2, 0.8), point(3, 0.7)))
    head, motion, fusion = table.splitlines()
    assert head.split() == ["top-1", "by", "split", "1", "2", "3", "mean", "std"]
    assert fusion.split() == ["fusion", "0.900", "0.800", "0.700", "0.800", "0.100"]
    assert motion.split()[-2:] == ["0.500", "0.000"]
    assert left_out == []


def test_other_settings_are_not_mixed_in():
    points = point(1, 0.9), point(2, 0.8), point(2, 0.1, hidden=64), point(3, 0.1, hidden=8)
    ((table,), _) = cross_split.mean_over_splits(shown(*points))
    assert table.splitlines()[-1].split() == ["fusion", "0.900", "0.800", "0.850", "0.071"]


def test_the_old_figures_of_failed_and_running_experiments_are_left_out_and_named(monkeypatch, capsys):
    others = [
        experiment(point(2, 0.8, name="swell-typo")),
        experiment(point(3, 0.9, name="cedar-zags"), "failed"),
        experiment(point(4, 0.9, name="leafy-jato"), "running"),
        experiment(point(5, None, name="iodic-ions"), "queued"),
    ]
    said = averaged(monkeypatch, capsys, shown(point(1, 0.9), others=others))
    assert said.out.splitlines()[-1].split() == ["fusion", "0.900", "0.800", "0.850", "0.071"]
    assert said.err.splitlines() == [
        "left out: cedar-zags (split 3): failed",
        "left out: leafy-jato (split 4): running",
        "left out: iodic-ions (split 5): queued",
    ]


def test_the_workspace_is_no_finished_run():
    stale = point(3, 0.9, "workspace")
    ((table,), left_out) = cross_split.mean_over_splits(shown(point(1, 0.9), point(2, 0.8), workspace=stale))
    assert table.splitlines()[0].split()[3:-2] == ["1", "2"]
    assert left_out == ["the workspace (split 3): commit it, or run it as an experiment"]


def test_where_no_two_splits_are_finished_the_status_is_1(monkeypatch, capsys):
    failed = [experiment(point(split, 0.9, name=f"exp-{split}"), "failed") for split in (2, 3)]
    said = averaged(monkeypatch, capsys, shown(point(1, 0.9), others=failed), status=1)
    assert said.out == ""
    assert said.err.splitlines()[:2] == ["left out: exp-2 (split 2): failed", "left out: exp-3 (split 3): failed"]
    assert said.err.splitlines()[2].startswith("error: no two finished runs differ in dataset.split alone; run `dvc")


@pytest.mark.parametrize("text", ["", "[1]", '[{"rev": "a"}]', "{"])
def test_other_input_is_refused(text):
    assert (
        sentence_of(cross_split.mean_over_splits, text)
        == "this is not what `dvc exp show --json` prints; pipe that in."
    )


def test_command_reads_standard_input_and_ends_with_status_2(monkeypatch, capsys):
    assert averaged(monkeypatch, capsys, "no JSON", status=2).err.startswith("error: this is not what")
