import io
import json

import pytest
from builders import sentence_of

from mocliplite.cli._main import main
from mocliplite.errors import run
from mocliplite.evaluation import cross_split


def revision(split, fusion, rev="466426e2b0f0", name=None, clips=None, **head):
    """A commit or the revision of an experiment, as `dvc exp show --json` of DVC 3.67.1 prints it."""
    settings = {
        "dataset": {"split": split, "root": "clips"},
        "head": {"hidden": 512, **head},
        "compute": {"workers": 2},
    }
    metrics = {
        "top1": {"fusion": {"mean": fusion}, "motion": {"mean": 0.5}},
        "mean_class": {"fusion": {"mean": fusion and fusion / 2}, "motion": {"mean": 0.4}},
    }
    data = {"data": {"clip_set": clips}} if clips else {"error": {"type": "FileNotFoundError"}}
    files = {"metrics/eval.json": {"data": metrics}, "metrics/data.json": data}
    return {
        "rev": rev,
        "name": name,
        "data": {
            "rev": rev,
            "params": {"params.yaml": {"data": settings}},
            "metrics": {} if fusion is None else files,
        },
        "error": None,
        "experiments": None,
    }


def queued(experiment, state="success"):
    """An experiment of the queue: its executor has the state; `error` is set where it failed."""
    failed = {"msg": "Experiment run failed", "type": ""} if state == "failed" else None
    executor = {"state": state, "name": "dvc-task"}
    return {"revs": [experiment | {"error": failed}], "executor": executor, "name": experiment["name"]}


def exp_show(commit, *experiments, workspace=None, queue=()):
    """The output of `dvc exp show --json`: the workspace, and a commit with its experiments.

    experiments were run in the workspace, so they have no executor; those of queue have one.
    """
    rows = [{"revs": [experiment], "executor": None, "name": None} for experiment in experiments]
    workspace = revision(1, None, "workspace") if workspace is None else workspace
    return json.dumps([workspace, {**commit, "experiments": [*rows, *queue]}])


def run_splits(monkeypatch, capsys, text, status=0):
    """Run `splits` with text on standard input; return what it printed."""
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    if status:
        with pytest.raises(SystemExit) as exited:
            run(lambda: main(["splits"]), status=2)
        assert exited.value.code == status
    else:
        main(["splits"])
    return capsys.readouterr()


def test_tables_have_mean_and_standard_deviation_over_the_splits():
    text = exp_show(revision(1, 0.9), revision(2, 0.8), revision(3, 0.7))
    ((tables,), left_out) = cross_split.mean_over_splits(text)
    table, by_class = tables.split("\n\n")
    head, motion, fusion = table.splitlines()
    assert head.split() == ["top-1", "by", "split", "1", "2", "3", "mean", "std"]
    assert fusion.split() == ["fusion", "0.900", "0.800", "0.700", "0.800", "0.100"]
    assert motion.split()[-2:] == ["0.500", "0.000"]
    head, motion, fusion = by_class.splitlines()
    assert head.split() == ["mean", "class", "by", "split", "1", "2", "3", "mean", "std"]
    assert fusion.split() == ["fusion", "0.450", "0.400", "0.350", "0.400", "0.050"]
    assert motion.split()[-2:] == ["0.400", "0.000"]
    assert left_out == []


def test_runs_with_other_settings_are_not_mixed_in():
    runs = revision(1, 0.9), revision(2, 0.8), revision(2, 0.1, hidden=64), revision(3, 0.1, hidden=8)
    ((table,), _) = cross_split.mean_over_splits(exp_show(*runs))
    assert table.splitlines()[-1].split() == ["fusion", "0.450", "0.400", "0.425", "0.035"]


def test_runs_on_other_clips_are_not_mixed_in(monkeypatch, capsys):
    older = revision(1, 0.9, clips="aa"), revision(2, 0.8, clips="aa")
    newer = revision(1, 0.7, clips="bb"), revision(2, 0.6, clips="bb")
    workspace = revision(1, 0.7, "workspace", clips="bb")
    (first, second), left_out = cross_split.mean_over_splits(exp_show(*older, *newer, workspace=workspace))
    assert [table.splitlines()[2].split()[-2] for table in (first, second)] == ["0.850", "0.650"]
    assert left_out == []
    alone = revision(3, 0.1, name="sunny-ant", clips="bb")
    printed = run_splits(
        monkeypatch, capsys, exp_show(*older, alone, workspace=revision(1, 0.9, "workspace", clips="aa"))
    )
    assert printed.out.splitlines()[2].split() == ["fusion", "0.900", "0.800", "0.850", "0.071"]
    reason = "its clips or classes are not those of other runs; run it again"
    assert printed.err == f"left out: sunny-ant (split 3): {reason}\n"


def test_failed_running_and_queued_experiments_are_left_out_and_named(monkeypatch, capsys):
    queue = [
        queued(revision(2, 0.8, name="swell-typo")),
        queued(revision(3, 0.9, name="cedar-zags"), "failed"),
        queued(revision(4, 0.9, name="leafy-jato"), "running"),
        queued(revision(5, None, name="iodic-ions"), "queued"),
    ]
    printed = run_splits(monkeypatch, capsys, exp_show(revision(1, 0.9), queue=queue))
    assert printed.out.splitlines()[-1].split() == ["fusion", "0.450", "0.400", "0.425", "0.035"]
    assert printed.err.splitlines() == [
        "left out: cedar-zags (split 3): failed",
        "left out: leafy-jato (split 4): running",
        "left out: iodic-ions (split 5): queued",
    ]


def test_metrics_of_the_workspace_are_left_out():
    workspace = revision(3, 0.9, "workspace")
    text = exp_show(revision(1, 0.9), revision(2, 0.8), workspace=workspace)
    ((table,), left_out) = cross_split.mean_over_splits(text)
    assert table.splitlines()[0].split()[3:-2] == ["1", "2"]
    assert left_out == ["the workspace (split 3): commit it, or run it as an experiment"]


def test_status_is_1_where_fewer_than_two_splits_are_finished(monkeypatch, capsys):
    queue = [queued(revision(split, 0.9, name=f"exp-{split}"), "failed") for split in (2, 3)]
    printed = run_splits(monkeypatch, capsys, exp_show(revision(1, 0.9), queue=queue), status=1)
    assert printed.out == ""
    assert printed.err.splitlines()[:2] == ["left out: exp-2 (split 2): failed", "left out: exp-3 (split 3): failed"]
    assert printed.err.splitlines()[2].startswith("error: no two finished runs differ in dataset.split alone; run `dvc")


@pytest.mark.parametrize("text", ["", "[1]", '[{"rev": "a"}]', "{"])
def test_other_input_is_refused(text):
    assert sentence_of(cross_split.mean_over_splits, text) == (
        "standard input is not the output of `dvc exp show --json`; pipe that into this command."
    )


def test_the_command_refuses_other_input_with_status_2(monkeypatch, capsys):
    printed = run_splits(monkeypatch, capsys, "no JSON", status=2)
    assert printed.err.startswith("error: standard input is not the output of")
