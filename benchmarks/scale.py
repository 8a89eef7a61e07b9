"""Processor time and peak memory of the stages after extraction, by number of clips.

`python -m benchmarks.scale --clips 1000 8000 50000 240000` writes the stores of `benchmarks.made_up` to a temporary
folder, or to --work, where they are kept, and runs each stage there in a process of its own. --code runs the stages of
another checkout, for comparison. 240,000 clips take 3 GB of disk.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
STAGES = ("index", "split", "pairs", "train_probes", "train_head", "evaluate", "report")


class Cost(NamedTuple):
    """What a process needed."""

    seconds: float  # of the processor, user and system
    mebibytes: float  # most resident memory


def main() -> None:
    given = _arguments()
    with tempfile.TemporaryDirectory() as temporary:
        costs = {}
        for count in given.clips:
            folder = Path(given.work or temporary, str(count))
            if not (folder / "features/prompts.h5").is_file():  # the last file that is written
                run("benchmarks.made_up", [str(folder), "--clips", str(count)], Path(), ROOT)
            costs[count] = {stage: run(*command(stage), folder, given.code) for stage in given.stages}
    print("\n".join(table(costs)))
    print(json.dumps(costs))


def command(stage: str) -> tuple[str, list[str]]:
    """Return module and arguments of a stage, or of the command report."""
    return ("mocliplite", ["report"]) if stage == "report" else (f"stages.{stage}", [])


def run(module: str, arguments: Sequence[str], folder: Path, code: Path) -> Cost:
    """Run a module in a folder, with the packages of a checkout, and return what it needed. Exits if it fails."""
    environment = {**os.environ, "PYTHONPATH": str(code.resolve())}
    process = subprocess.Popen([sys.executable, "-m", module, *arguments], cwd=folder, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{module} failed in {folder}")
    cost = Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
    print(f"{folder.name} clips, {module}: {cost.seconds:.1f} s, {cost.mebibytes:,.0f} MiB", flush=True)
    return cost


def table(costs: Mapping[int, Mapping[str, Cost]]) -> list[str]:
    """Return the lines of a Markdown table: a row per stage, a column per number of clips."""
    stages = next(iter(costs.values()))
    lines = [
        "| s of processor time, peak MiB | " + " | ".join(f"{count:,} clips" for count in costs) + " |",
        "|---|" + "---:|" * len(costs),
    ]
    for stage in stages:
        cells = (f"{of[stage].seconds:.1f}, {of[stage].mebibytes:,.0f}" for of in costs.values())
        lines.append(f"| {stage} | " + " | ".join(cells) + " |")
    return lines


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, nargs="+", default=[1000, 8000, 50000])
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    parser.add_argument("--work", type=Path, help="folder for the stores; default: a temporary folder")
    parser.add_argument("--code", type=Path, default=ROOT, help="checkout whose stages run; default: this one")
    return parser.parse_args()


if __name__ == "__main__":
    main()
