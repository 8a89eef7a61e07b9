"""The mean over splits of experiments that differ in nothing else, from what `dvc exp show --json` prints."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from mocliplite.errors import UserError
from mocliplite.evaluation.method_table import METHODS

EVAL = "metrics/eval.json"
WANTED = "run `dvc exp run --queue -S dataset.split=1,2,3` and `dvc exp run --run-all` first"
WORKSPACE = "workspace"


@dataclass(frozen=True)
class Run:
    """A commit, an experiment, or the workspace."""

    name: str
    state: str  # success, or one that promises no figures of its own: failed, running, queued, workspace
    settings: dict[str, Any]
    metrics: dict[str, Any]

    @property
    def split(self) -> int:
        """The split that it is of."""
        return int(self.settings["dataset"]["split"])

    @property
    def rest(self) -> str:
        """All settings but the split, as text; compute, which changes no result, apart."""
        dataset = {key: value for key, value in self.settings["dataset"].items() if key != "split"}
        rest = {key: value for key, value in self.settings.items() if key != "compute"} | {"dataset": dataset}
        return json.dumps(rest, sort_keys=True)


def mean_over_splits(text: str) -> tuple[list[str], list[str]]:
    """A table for each set of runs that differ in dataset.split alone, and a sentence for each run left out.

    A table has top-1 by split, mean and deviation. Only commits and finished experiments are taken: DVC shows a failed
    or running experiment with the figures that its folder happens to hold, those of the run before. The same goes for
    the workspace, which is named only where no other run has its settings.
    """
    try:
        runs = list(_runs(json.loads(text)))
        alike: dict[str, dict[int, dict[str, Any]]] = {}
        for run in runs:
            if run.state == "success" and run.metrics:
                alike.setdefault(run.rest, {})[run.split] = run.metrics
        left_out = [
            _why(run)
            for run in runs
            if run.state != "success" and not (run.state == WORKSPACE and run.split in alike.get(run.rest, {}))
        ]
    except (ValueError, TypeError, KeyError, AttributeError):
        raise UserError("this is not what `dvc exp show --json` prints; pipe that in.") from None
    return [_table(by_split) for by_split in alike.values() if len(by_split) > 1], left_out


def _runs(shown: list[dict[str, Any]]) -> Iterator[Run]:
    """Every commit and experiment whose settings are known, and the workspace."""
    for commit in shown:
        points = [(commit, WORKSPACE if commit["rev"] == WORKSPACE else "success")]
        for found in commit["experiments"] or []:
            state = (found.get("executor") or {}).get("state", "success")
            points += [(point, "failed" if point.get("error") else state) for point in found["revs"] or []]
        for point, state in points:
            data = point.get("data") or {}
            settings = (data.get("params") or {}).get("params.yaml", {}).get("data")
            metrics = (data.get("metrics") or {}).get(EVAL, {}).get("data")
            if settings:
                yield Run(point.get("name") or point["rev"][:7], state, settings, metrics or {})


def _why(run: Run) -> str:
    if run.state == WORKSPACE:
        return f"the workspace (split {run.split}): commit it, or run it as an experiment"
    return f"{run.name} (split {run.split}): {run.state}"


def _table(by_split: dict[int, dict[str, Any]]) -> str:
    splits = sorted(by_split)
    lines = [f"{'top-1 by split':<16}" + "".join(f"{split:>8}" for split in splits) + "    mean     std"]
    for way in METHODS:
        values = [by_split[split]["top1"][way]["mean"] for split in splits if way in by_split[split]["top1"]]
        if len(values) == len(splits):
            row = "".join(f"{value:8.3f}" for value in values)
            lines.append(f"{way:<16}{row}{np.mean(values):8.3f}{np.std(values, ddof=1):8.3f}")
    return "\n".join(lines)
