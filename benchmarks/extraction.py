"""Processor time and peak memory of each stage of the graph, by number of clips.

`python -m benchmarks.extraction --clips 1000 10000 50000`, after `dvc repro`: each file of the sample is copied under
as many names as are needed, each copy in groups of its own, and each stage runs in a process of its own; the motion
network is trained for one epoch. Clips of 40 frames at 192x144 pixels show what a clip costs beside its decoding.
50,000 clips take 3 GB of disk.
"""

import argparse
import json
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from benchmarks import scale

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "sample/data"
STAGES = ("index", "split", "motion", "keyframes", "prompts", "train_motion", "embed_motion", *scale.STAGES[2:])


def main() -> None:
    given = _arguments()
    costs = {}
    with tempfile.TemporaryDirectory() as temporary:
        for count in given.clips:
            folder = Path(given.work or temporary, str(count))
            _write_project(folder, count)
            costs[count] = {stage: scale.run(*scale.command(stage), folder, ROOT) for stage in STAGES}
    print("\n".join(scale.table(costs)))
    print(json.dumps(costs))


def _write_project(folder: Path, count: int) -> None:
    """Copy the clips, and write the settings."""
    files = sorted((SAMPLE / "clips").glob("*/*.avi"))
    for number in range(count):
        copy, row = divmod(number, len(files))
        name = re.sub(r"_g(\d+)_", rf"_g\g<1>{copy:04d}_", files[row].name)
        path = folder / "clips" / files[row].parent.name / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(files[row], path)
    write_settings(folder, {"motion_net": {"epochs": 1}})


def write_settings(folder: Path, changes: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the settings of the sample for class folders in clips/, with changes, and link the folders they name."""
    settings = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    settings["dataset"] |= {"root": "clips", "files": "clips", "lists": "configs/none"}
    settings["encoder"] |= {"model": str(SAMPLE / "clip"), "files": str(SAMPLE / "clip")}
    for section, values in changes.items():
        settings[section] |= values
    (folder / "params.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    for name in ("configs", "prompts"):
        (folder / name).symlink_to(ROOT / name)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, nargs="+", default=[1000, 10000])
    parser.add_argument("--work", type=Path, help="folder for clips and stores; default: a temporary folder")
    return parser.parse_args()


if __name__ == "__main__":
    main()
