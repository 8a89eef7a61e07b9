"""The mean over splits of experiments with otherwise equal settings, from the output of `dvc exp show --json`."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mocliplite.errors import UserError
from mocliplite.evaluation.rows import METHODS
from mocliplite.files import parse_json

EVAL, DATA = "metrics/eval.json", "metrics/data.json"
RUN_ALL_SPLITS = "run `dvc exp run --queue -S dataset.split=1,2,3` and `dvc exp run --run-all` first"
WORKSPACE = "workspace"
FIGURES = {"top1": "top-1", "mean_class": "mean class", "map": "mAP"}  # keys of metrics/eval.json


@dataclass(frozen=True)
class Run:
    """A commit, an experiment, or the workspace."""

    name: str
    state: str  # success; or failed, running, queued, workspace: the metrics may belong to another run
    settings: dict[str, Any]
    metrics: dict[str, Any]  # of metrics/eval.json
    clip_set: str | None  # digest of the clips and their classes, in all splits; None: it was not recorded

    @property
    def split(self) -> int:
        """The value of dataset.split."""
        return int(self.settings["dataset"]["split"])

    @property
    def other_settings(self) -> str:
        """All settings except the split, as JSON, and except `compute`, which changes no result."""
        dataset = {key: value for key, value in self.settings["dataset"].items() if key != "split"}
        others = {key: value for key, value in self.settings.items() if key != "compute"} | {"dataset": dataset}
        return json.dumps(others, sort_keys=True)


def mean_over_splits(text: str) -> tuple[list[str], list[str]]:
    """Return the tables of each set of runs that differ only in dataset.split, and a sentence for each run left out.

    The tables have top-1 and mean-class accuracy by split, mean and standard deviation. Runs on other clips or classes
    are in separate tables. Only commits and finished experiments count: for a failed or running experiment, DVC shows
    the metrics that its folder happens to contain, those of an earlier run. The same holds for the workspace, which is
    only named where no finished run has its settings. Raises UserError where text is not the output of
    `dvc exp show --json`.
    """
    try:
        runs = list(_runs(parse_json(text)))
        finished: dict[tuple[str, str | None], dict[int, Run]] = {}
        for run in runs:
            if run.state == "success" and run.metrics:
                finished.setdefault((run.other_settings, run.clip_set), {})[run.split] = run
        left_out = [
            _reason_left_out(run)
            for run in runs
            if run.state != "success"
            and not (run.state == WORKSPACE and run.split in finished.get((run.other_settings, run.clip_set), {}))
        ]
        left_out += _of_other_clips(finished)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise UserError(
            "standard input is not the output of `dvc exp show --json`; pipe that into this command."
        ) from None
    several = [
        {split: run.metrics for split, run in by_split.items()} for by_split in finished.values() if len(by_split) > 1
    ]
    return ["\n\n".join(_tables(by_split)) for by_split in several], left_out


def _runs(commits: list[dict[str, Any]]) -> Iterator[Run]:
    """Every commit, every experiment and the workspace, where its settings are known."""
    for commit in commits:
        revisions = [(commit, WORKSPACE if commit["rev"] == WORKSPACE else "success")]
        for experiment in commit["experiments"] or []:
            state = (experiment.get("executor") or {}).get("state", "success")
            revisions += [
                (revision, "failed" if revision.get("error") else state) for revision in experiment["revs"] or []
            ]
        for revision, state in revisions:
            data = revision.get("data") or {}
            settings = (data.get("params") or {}).get("params.yaml", {}).get("data")
            metrics, clips = ((data.get("metrics") or {}).get(file, {}).get("data") or {} for file in (EVAL, DATA))
            if settings:
                name = revision.get("name") or revision["rev"][:7]
                yield Run(name, state, settings, metrics, clips.get("clip_set"))


def _of_other_clips(finished: Mapping[tuple[str, str | None], Mapping[int, Run]]) -> Iterator[str]:
    """A sentence for each run that is alone with its clips, while there are runs on other clips with its settings."""
    for (settings, clip_set), by_split in finished.items():
        if len(by_split) == 1 and any(key[0] == settings and key[1] != clip_set for key in finished):
            (run,) = by_split.values()
            yield f"{run.name} (split {run.split}): its clips or classes are not those of other runs; run it again"


def _reason_left_out(run: Run) -> str:
    if run.state == WORKSPACE:
        return f"the workspace (split {run.split}): commit it, or run it as an experiment"
    return f"{run.name} (split {run.split}): {run.state}"


def _tables(by_split: dict[int, dict[str, Any]]) -> list[str]:
    """Return a table for each figure that all runs have: mAP where a clip may have several classes, else the others."""
    figures = [key for key in FIGURES if all(key in metrics for metrics in by_split.values())]
    return [_table(by_split, key, FIGURES[key]) for key in figures]


def _table(by_split: dict[int, dict[str, Any]], figure: str, title: str) -> str:
    splits = sorted(by_split)
    lines = [f"{f'{title} by split':<20}" + "".join(f"{split:>8}" for split in splits) + "    mean     std"]
    for method in METHODS:
        values = [by_split[split][figure][method]["mean"] for split in splits if method in by_split[split][figure]]
        if len(values) == len(splits):
            row = "".join(f"{value:8.3f}" for value in values)
            lines.append(f"{method:<20}{row}{np.mean(values):8.3f}{np.std(values, ddof=1):8.3f}")
    return "\n".join(lines)
