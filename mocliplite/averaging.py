"""The mean over splits of experiments that differ in nothing else, from what `dvc exp show --json` prints."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from mocliplite.errors import UserError
from mocliplite.results import WAYS

EVAL = "metrics/eval.json"


def over_splits(text: str) -> str:
    """A table for each set of experiments that differ in dataset.split alone: top-1 by split, mean and deviation."""
    try:
        shown = json.loads(text)
        runs = list(_runs(shown))
    except (ValueError, TypeError, KeyError, AttributeError):
        raise UserError("this is not what `dvc exp show --json` prints; pipe that in.") from None
    alike: dict[str, dict[int, dict[str, Any]]] = {}
    for settings, metrics in runs:
        dataset = dict(settings["dataset"])
        split = dataset.pop("split")
        # compute changes no result.
        rest = {key: value for key, value in settings.items() if key != "compute"} | {"dataset": dataset}
        alike.setdefault(json.dumps(rest, sort_keys=True), {})[split] = metrics
    tables = [_table(by_split) for by_split in alike.values() if len(by_split) > 1]
    if not tables:
        wanted = "run `dvc exp run --queue -S dataset.split=1,2,3` and `dvc exp run --run-all` first"
        raise UserError(f"no two experiments differ in dataset.split alone; {wanted}.")
    return "\n\n".join(tables)


def _runs(shown: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Settings and figures of every commit and experiment that has both."""
    for commit in shown:
        for point in [commit, *(rev for found in commit["experiments"] or [] for rev in found["revs"] or [])]:
            data = point.get("data") or {}
            settings = (data.get("params") or {}).get("params.yaml", {}).get("data")
            metrics = (data.get("metrics") or {}).get(EVAL, {}).get("data")
            if settings and metrics:
                yield settings, metrics


def _table(by_split: dict[int, dict[str, Any]]) -> str:
    splits = sorted(by_split)
    lines = [f"{'top-1 by split':<16}" + "".join(f"{split:>8}" for split in splits) + "    mean     std"]
    for way in WAYS:
        values = [by_split[split]["top1"][way]["mean"] for split in splits if way in by_split[split]["top1"]]
        if len(values) == len(splits):
            row = "".join(f"{value:8.3f}" for value in values)
            lines.append(f"{way:<16}{row}{np.mean(values):8.3f}{np.std(values, ddof=1):8.3f}")
    return "\n".join(lines)
