"""The summary of a run over many files."""

from collections.abc import Iterable, Sequence

from mocliplite.cli._results_file import Row

UNSURE = 0.5


def summary(rows: Iterable[Row], header: Sequence[str], what: str) -> list[str]:
    """Return the lines: how many, by class with the mean probability, how many are unsure, and what failed."""
    label, probability, error = (header.index(name) for name in ("class", "probability", "error"))
    by_class: dict[str, list[float]] = {}
    clips, failed, unsure = set(), [], 0
    for row in rows:
        clips.add(row[0])
        if row[error]:
            failed.append(str(row[error]))
            continue
        value = float(str(row[probability] or 0))
        by_class.setdefault(str(row[label]), []).append(value)
        unsure += value < UNSURE
    count = sum(map(len, by_class.values()))
    lines = [f"{len(clips)} files: {count} {what}, {len(failed)} failed"]
    width = max([len("class"), *map(len, by_class)])
    if by_class:
        lines.append(f"  {'class':{width}}  {what:>10}  mean probability")
    for name, values in sorted(by_class.items(), key=lambda item: (-len(item[1]), item[0])):
        lines.append(f"  {name:{width}}  {len(values):10}  {sum(values) / len(values):16.2f}")
    if unsure:
        lines.append(f"  {unsure} with a probability below {UNSURE}")
    return lines + [f"  failed: {reason}" for reason in failed]
