"""Edited inputs at all entry points: each must be used, be a row of failures, or be refused with a sentence.

python -m benchmarks.fuzz [--inputs 10000] [--project .] needs a project in which `dvc repro` ran. Prints a table by
entry point and outcome, and each error; the last line is JSON. Exits with status 1 if there was an error: a traceback,
a hang, a clip that is neither used nor reported, or something else that is no sentence. An interrupted run goes on with
--start.
"""

import argparse
import json
import resource
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path

from benchmarks.fuzz import outcomes, runs
from benchmarks.fuzz.entries import ENTRIES
from mocliplite.runtime.progress import progress

COLUMNS = (outcomes.ACCEPTED, outcomes.FAILED, outcomes.REFUSED, *outcomes.ERRORS)
FOOTAGE = Path(__file__).parents[3] / "shared/cases"


def table(counts: Counter[tuple[str, str]]) -> str:
    """Return a table of the numbers of inputs by entry point and outcome."""
    rows = [f"{'':12}" + "".join(f"{column:>16}" for column in COLUMNS)]
    tried = [name for name in ENTRIES if any(found == name for found, _ in counts)]
    rows += [f"{entry:12}" + "".join(f"{counts[entry, column]:16}" for column in COLUMNS) for entry in tried]
    totals = Counter(kind for _, kind in counts.elements())
    return "\n".join([*rows, f"{'all':12}" + "".join(f"{totals[column]:16}" for column in COLUMNS)])


def main() -> None:
    """Try the inputs, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--inputs", type=int, default=10_000, help="number of inputs (10000)")
    add("--start", type=int, default=0, help="number of the first input (0)")
    add("--seed", type=int, default=0)
    add("--workers", type=int, default=2)
    add("--entries", nargs="+", choices=list(ENTRIES), default=list(ENTRIES), help="entry points (all)")
    add("--project", type=Path, default=Path(), help="folder in which the pipeline ran (.)")
    add("--footage", type=Path, default=FOOTAGE, help=f"folder of further clips ({FOOTAGE})")
    add("--keep", type=Path, default=Path("fuzz-errors"), help="folder for the inputs that are errors (fuzz-errors)")
    given = parser.parse_args()
    footage = str(given.footage.absolute()) if given.footage.is_dir() else ""
    run = runs.Run(given.seed, given.project.absolute(), footage, given.entries)
    numbers = range(given.start, given.start + given.inputs)
    counts: Counter[tuple[str, str]] = Counter()
    # Everything that is written is in one folder, which is also removed if a process was killed.
    with suppress(KeyboardInterrupt), runs.temporary_files(), progress("fuzz", given.inputs, "input") as bar:
        for tried in runs.outcomes_of(run, numbers, given.workers, given.keep):
            counts[tried.entry, tried.outcome.kind] += 1
            if tried.outcome.kind in outcomes.ERRORS:
                last = tried.outcome.text.strip().splitlines()[-1:]
                print(f"{tried.outcome.kind}: {tried.entry} {tried.number} ({tried.edit}): {last}", flush=True)
            bar.update()
    print(table(counts))
    errors = sum(count for (_, kind), count in counts.items() if kind in outcomes.ERRORS)
    seconds = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    used = sum(one.ru_utime + one.ru_stime for one in seconds)
    print(json.dumps({"inputs": counts.total(), "errors": errors, "processor_seconds": round(used)}))
    sys.exit(1 if errors else 0)


if __name__ == "__main__":
    main()
