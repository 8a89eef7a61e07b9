"""Edited lists, manifests, class folders and settings: index, split, `init` and `doctor`."""

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import yaml

from benchmarks.fuzz import outcomes
from benchmarks.fuzz.clips import Clip, edited_clip, rendered
from benchmarks.fuzz.odd import TEXTS, pick
from benchmarks.fuzz.outcomes import Outcome
from benchmarks.fuzz.values import edited_json, edited_lines, edited_value, edited_yaml
from mocliplite import params
from mocliplite.data import clips as clip_files
from mocliplite.data import index, manifest, splits

INPUT = Path("input")
CHECKOUT = Path(__file__).parents[2]
_ROOT, _LIST = INPUT / "clips", INPUT / "lists"
_CLASSES, _CLIPS = ("Run", "Hop"), 8
_PATHS = [f"{label}/v_{label}_g{number // 2:02}_c{number}.avi" for label in _CLASSES for number in range(_CLIPS)]
_PARTS = [("train", "val", "test")[max(0, number // 2 - 1)] for number in range(_CLIPS)] * 2
_KINETICS = [f"{label}/{label}_{number:06d}_{number + 5:06d}.mp4" for label in _CLASSES for number in range(_CLIPS)]


def _ucf101() -> dict[str, str]:
    train = [f"{path} {1 + (path[:3] == 'Hop')}" for path, part in zip(_PATHS, _PARTS, strict=True) if part != "test"]
    test = [path for path, part in zip(_PATHS, _PARTS, strict=True) if part == "test"]
    return {"classInd.txt": "1 Run\n2 Hop\n", "trainlist01.txt": "\n".join(train), "testlist01.txt": "\n".join(test)}


def _hmdb51() -> dict[str, str]:
    numbers = {"train": 1, "val": 0, "test": 2}
    lines = {
        label: "\n".join(
            f"{path.split('/')[1]} {numbers[part]} "
            for path, part in zip(_PATHS, _PARTS, strict=True)
            if path.startswith(label)
        )
        for label in _CLASSES
    }
    return {f"{label}_test_split1.txt": text for label, text in lines.items()}


def _csv() -> dict[str, str]:
    rows = [f"{path},{path[:3]},{part},g{row % 4},0,1.5" for row, (path, part) in enumerate(_rows())]
    return {"list.csv": "\n".join(["path,label,split,group,start,end", *rows])}


def _plain_csv() -> dict[str, str]:
    return {"list.csv": "\n".join(["path,label", *(f"{path},{path[:3]}" for path, _ in _rows())])}


def _kinetics() -> dict[str, str]:
    rows = [
        f"{path[:3]},{path[:3]},{row % _CLIPS},{row % _CLIPS + 5},{part}"
        for row, (path, part) in enumerate(zip(_KINETICS, _PARTS, strict=True))
    ]
    return {"list.csv": "\n".join(["label,youtube_id,time_start,time_end,split", *rows])}


def _mmaction() -> dict[str, str]:
    lines = {
        part: "\n".join(f"{path} {int(path[:3] == 'Hop')}" for path, of in _rows() if of == part)
        for part in ("train", "val", "test")
    }
    return {f"{part}_list.txt": text for part, text in lines.items()}


def _something() -> dict[str, str]:
    videos = {part: [path for path, of in _rows() if of == part] for part in ("train", "val")}
    files = {
        f"something-something-v2-{name}.json": json.dumps(
            [{"id": path.rpartition(".")[0], "label": path[:3], "template": path[:3]} for path in videos[part]]
        )
        for part, name in (("train", "train"), ("val", "validation"))
    }
    return {**files, "something-something-v2-labels.json": json.dumps({"Run": "0", "Hop": "1"})}


def _activitynet() -> dict[str, str]:
    subsets = {"train": "training", "val": "validation", "test": "testing"}
    database = {
        path.rpartition("/")[2].rpartition(".")[0]: {
            "subset": subsets[part],
            "annotations": [{"segment": [0.0, 1.0], "label": path[:3]}],
        }
        for path, part in _rows()
    }
    return {"list.json": json.dumps({"version": "1", "database": database})}


def _rows() -> list[tuple[str, str]]:
    return list(zip(_PATHS, _PARTS, strict=True))


# Each format, and the clips that it names.
_FLAT = [path.rpartition("/")[2] for path in _PATHS]
_LISTS = (
    *((_ucf101, _PATHS), (_hmdb51, _PATHS), (_csv, _PATHS), (_plain_csv, _PATHS), (_kinetics, _KINETICS)),
    *((_mmaction, _PATHS), (_something, _PATHS), (_activitynet, _FLAT)),
)


def _put(paths: Sequence[str]) -> None:
    for path in paths:
        (_ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (_ROOT / path).write_text(path)


def make_list(rng: np.random.Generator, project: Path, clips: list[Clip]) -> str:
    """Write clips, and a list, a manifest or a table of clips that is edited."""
    if rng.random() < 0.2:
        return _make_table(rng)
    files_of, paths = pick(rng, _LISTS)  # type: ignore[misc]
    _put(paths)
    files = files_of()
    edited = str(pick(rng, list(files)))
    _LIST.mkdir()
    for name, text in files.items():
        (_LIST / name).write_text(text)
    edit = edited_json if edited.endswith(".json") else edited_lines
    words = {} if edited.endswith((".json", ".csv")) else {"separator": str(pick(rng, (" ", "/")))}
    kind, content = edit(files[edited].encode(), rng, **words)  # type: ignore[operator]
    (_LIST / edited).write_bytes(content)
    return f"{edited}: {kind}"


def _make_table(rng: np.random.Generator) -> str:
    """Write an edited manifest or an edited table of the stage index."""
    _put(_PATHS)
    found = index.find_clips(_settings())
    if rng.random() < 0.5:
        manifest.update(INPUT / "manifest.csv", str(_ROOT), [clip.path for clip in found])
        name = "manifest.csv"
    else:
        clip_files.write_clips(INPUT / "clips.csv", found)
        name = "clips.csv"
    kind, content = edited_lines((INPUT / name).read_bytes(), rng)
    (INPUT / name).write_bytes(content)
    return f"{name}: {kind}"


@cache
def _defaults() -> params.Dataset:
    return params.load(CHECKOUT / "params.yaml").dataset


def _settings() -> params.Dataset:
    """Return the settings for what the input has."""
    lists = str(_LIST) if _LIST.is_dir() else params.NO_PATH
    if _LIST.is_dir() and len(list(_LIST.iterdir())) == 1:
        lists = str(next(_LIST.iterdir()))
    has_manifest = (INPUT / "manifest.csv").exists()
    files = str(INPUT / "manifest.csv") if has_manifest else str(_ROOT)
    return replace(_defaults(), root=str(_ROOT), files=files, lists=lists, group=None, val=0.34, max_failed=0.5)


def index_and_split(project: Path) -> Outcome:
    """Do what the stages index and split do, and read the table between them."""
    settings = _settings()
    if (INPUT / "clips.csv").exists():
        found = clip_files.read_clips(INPUT / "clips.csv")
    else:
        found = index.find_clips(settings)
        clip_files.write_clips("clips.csv", found)
        if clip_files.read_clips("clips.csv") != found:
            return Outcome(outcomes.LOST, "the table differs from the clips")
    for clip in found:
        if not (_ROOT / clip.path).resolve().is_relative_to(_ROOT.resolve()):
            return Outcome(outcomes.OTHER, f"{clip.path} is outside of the root")
    parts = splits.split_clips(found, settings)
    if parts.keys() != {clip.id for clip in found}:
        return Outcome(outcomes.LOST, f"{len(parts)} clips of {len(found)} have a split")
    splits.write_splits("splits.csv", parts)
    if splits.read_splits("splits.csv") != parts:
        return Outcome(outcomes.LOST, "the table differs from the splits")
    missing = sum(not clip.sha256 for clip in found)
    return Outcome(outcomes.FAILED, f"{missing} are missing") if missing else Outcome(outcomes.ACCEPTED)


def make_params(rng: np.random.Generator, project: Path, clips: list[Clip]) -> str:
    """Write edited settings."""
    INPUT.mkdir()
    name = str(pick(rng, ("params.yaml", "configs/ucf101.yaml", "configs/folder.yaml")))
    kind, content = edited_yaml((CHECKOUT / name).read_bytes(), rng)
    (INPUT / "params.yaml").write_bytes(content)
    return kind


def load_params(project: Path) -> Outcome:
    """Load the settings, and use those of the data set: its group, its glob pattern and the names of its files."""
    settings = params.load(INPUT / "params.yaml")
    dataset = replace(settings.dataset, lists=params.NO_PATH, folds=None, split=1)
    if params.is_address(dataset.root):
        return Outcome(outcomes.ACCEPTED)
    _put(_PATHS)
    index.find_clips(replace(dataset, root=str(_ROOT), files=str(_ROOT), multi_label=False))
    return Outcome(outcomes.ACCEPTED)


def make_own_clips(rng: np.random.Generator, project: Path, clips: list[Clip]) -> str:
    """Write class folders with odd names, or a list, for `init`."""
    if rng.random() < 0.4:
        return make_list(rng, project, clips)
    _LIST.mkdir(parents=True)  # none: class folders
    for label in ("Run", "Hop", str(pick(rng, TEXTS)).replace("/", "_").replace("\0", "")[:60] or "x"):
        (_ROOT / label).mkdir(parents=True, exist_ok=True)
        for number in range(2):
            ending, content = edited_clip(clips, rng)[1] if rng.random() < 0.3 else rendered()[0]
            (_ROOT / label / f"{label}{number}.{ending}").write_bytes(content)
    return "class folders"


def _encoder(project: Path) -> str:
    """Return the folder of the encoder of a project."""
    return str(project / yaml.safe_load((project / params.FILE).read_text())["encoder"]["model"])


def init(project: Path) -> Outcome:
    """Write settings for the clips, which must then be valid."""
    Path("configs").symlink_to(CHECKOUT / "configs")
    lists = sorted(_LIST.iterdir()) if _LIST.is_dir() else []
    source = [str(_LIST if len(lists) > 1 else lists[0]), "--root", str(_ROOT)] if lists else [str(_ROOT)]
    outcome, _ = outcomes.command(["init", *source, "--out", "written.yaml", "--clip", _encoder(project)])
    if outcome.kind == outcomes.ACCEPTED:
        params.load("written.yaml")
    return outcome


def make_project(rng: np.random.Generator, project: Path, clips: list[Clip]) -> str:
    """Write the files of a project that `doctor` reads, of which one is edited."""
    INPUT.mkdir()
    shutil.copy(CHECKOUT / "dvc.yaml", INPUT)
    (INPUT / "features").mkdir()
    shutil.copy(project / "features/clips.csv", INPUT / "features")
    settings = yaml.safe_load((project / params.FILE).read_text())
    settings["encoder"] |= {"model": _encoder(project), "files": _encoder(project)}
    name = str(pick(rng, ("params.yaml", "features/clips.csv", "dvc.yaml")))
    if name == "params.yaml":
        settings = edited_value(settings, rng)
    (INPUT / "params.yaml").write_text(yaml.safe_dump(settings))
    if name != "params.yaml":
        edit = edited_lines if name.endswith(".csv") else edited_yaml
        kind, content = edit((INPUT / name).read_bytes(), rng)
        (INPUT / name).write_bytes(content)
        return f"{name}: {kind}"
    return name


def doctor(project: Path) -> Outcome:
    """Check the project."""
    os.chdir(INPUT)
    outcome, printed = outcomes.command(["doctor"])
    # Status 1 without an error line: it printed what is not in order.
    return Outcome(outcomes.REFUSED, printed) if "\nBAD" in f"\n{printed}" else outcome
