"""Measure how long `dvc exp run -S head.hidden=256` takes on pairs of the size of UCF101, and its parts.

`python -m benchmarks.experiment` copies the tracked files to a temporary folder, writes synthetic pairs of the size of
UCF101 to features/pairs.h5, and runs the command there, then each stage alone.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import synthetic
from mocliplite.store import table_file

COMMAND = "dvc exp run -S head.hidden=256"
# The stages after the pairs. DVC does not check for the inputs of the removed stages.
STAGES = ("train_probes", "train_head", "evaluate")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "project")
        _copy(folder)
        _shell(folder, "dvc repro -q && git add -A && git commit -q -m start")
        total, output = _timed(folder, COMMAND)
        ran = re.findall(r"Running stage '([^']+)'", output)
        phases = {f"{stage} alone": _timed(folder, f"python -m stages.{stage}")[0] for stage in ran}
        for stage in ran:
            phases[f"importing {stage}"] = _timed(folder, f"python -c 'import stages.{stage}'")[0]
        phases["reading the pairs"] = _timed(folder, f"python -c '{_READ}'")[0]
        phases["DVC and the rest"] = total - sum(phases[f"{stage} alone"] for stage in ran)
    print(f"{COMMAND}: {total:.1f} s, ran {', '.join(ran)}")
    for phase, seconds in phases.items():
        print(f"  {phase:24} {seconds:6.2f} s")
    print(json.dumps({"seconds": total, "ran": ran, "phases": phases, "load": os.getloadavg()[0]}))


_READ = 'from mocliplite import store; store.read_table("features/pairs.h5", "pairs")'


def _copy(folder: Path) -> None:
    """Copy the project, with the settings for UCF101 and a graph that starts at the pairs."""
    tracked = subprocess.run(["git", "ls-files", "-z"], capture_output=True, text=True, check=True).stdout
    for name in filter(None, tracked.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(name, folder / name)
    text = (folder / "dvc.yaml").read_text(encoding="utf-8")
    stages = re.split(r"(?m)^(?=  \w+:\n)", text)
    after_pairs = [part for part in stages if part.split(":")[0].strip() in STAGES]
    (folder / "dvc.yaml").write_text("stages:\n" + "".join(after_pairs), encoding="utf-8")
    (folder / "dvc.lock").unlink(missing_ok=True)
    shutil.rmtree(folder / "sample")
    shutil.copy("configs/ucf101.yaml", folder / "params.yaml")
    arrays, _ = synthetic.pairs_of()
    pairs = folder / "features/pairs.h5"
    table_file.write_table(pairs, "pairs", arrays, synthetic.SETTINGS, synthetic.PROVENANCE)
    _shell(folder, "git init -q . && git config user.name bench && git config user.email bench@example.org")
    _shell(folder, "git add -A && git commit -q -m start")


def _timed(folder: Path, command: str) -> tuple[float, str]:
    start = time.perf_counter()
    output = _shell(folder, command)
    return time.perf_counter() - start, output


def _shell(folder: Path, command: str) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(f"{command}: status {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


if __name__ == "__main__":
    main()
