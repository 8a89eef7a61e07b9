"""The summary of a run over many files."""

from collections import Counter
from collections.abc import Iterable, Sequence

from mocliplite.cli._results_file import Row

UNSURE = 0.5
NO_CLASS = "no class"


def summary(rows: Iterable[Row], header: Sequence[str], what: str) -> list[str]:
    """Return the lines: how many, by class with the mean probability, how many are unsure, and what failed.

    A segment of `nothing`, or one that could not be classified, has no probability, so it is not unsure either.
    """
    label, probability, error = (header.index(name) for name in ("class", "probability", "error"))
    counts: Counter[str] = Counter()
    probabilities: dict[str, list[float]] = {}
    clips, failed, unsure = set(), [], 0
    for row in rows:
        clips.add(row[0])
        if row[error]:
            failed.append(str(row[error]))
            continue
        name = str(row[label]) or NO_CLASS
        counts[name] += 1
        if row[probability] != "":
            value = float(str(row[probability]))
            probabilities.setdefault(name, []).append(value)
            unsure += value < UNSURE
    lines = [f"files: {len(clips)}, {what}: {counts.total()}, failed: {len(failed)}"]
    width = max([len("class"), *map(len, counts)])
    if counts:
        lines.append(f"  {'class':{width}}  {what:>10}  mean probability")
    for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        values = probabilities.get(name)
        mean = f"{sum(values) / len(values):.2f}" if values else "-"
        lines.append(f"  {name:{width}}  {count:10}  {mean:>16}")
    if unsure:
        lines.append(f"  {unsure} with a probability below {UNSURE}")
    return lines + [f"  failed: {reason}" for reason in failed]
