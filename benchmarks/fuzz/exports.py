"""Edited exports: cards in JSON, weights in safetensors, ONNX graphs; loaded, and used if they load."""

import json
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.fuzz import outcomes
from benchmarks.fuzz.clips import Clip, rendered
from benchmarks.fuzz.odd import edited, pick
from benchmarks.fuzz.outcomes import Outcome
from benchmarks.fuzz.trees import edited_tree
from benchmarks.fuzz.values import edited_json, edited_safetensors
from mocliplite import checkpoint, params
from mocliplite.errors import UserError
from mocliplite.predict.export import export
from mocliplite.predict.recognizer import Recognizer

INPUT = Path("input")
COMPUTE = params.Compute(workers=1, threads=1, device="cpu", engine="processes", time_limit=20)


@cache
def exported(project: Path, name: str = "torch") -> Path:
    """Return a folder with the models of a project, exported for torch or onnx; made once per process."""
    folder = Path(tempfile.mkdtemp(prefix="exported-")) / name
    here = Path.cwd()
    try:
        os.chdir(project)
        export(folder, with_clip=name == "torch", onnx=name == "onnx")
    finally:
        os.chdir(here)
    return folder


def make(rng: np.random.Generator, project: Path, clips: list[Clip]) -> str:
    """Write an export of which one file is edited, and mostly the digests that depend on it are corrected."""
    name = "onnx" if rng.random() < 0.4 else "torch"
    shutil.copytree(exported(project, name), INPUT)
    files = [path for path in sorted(INPUT.rglob("*.*")) if path.is_file() and path.suffix != ".md"]
    path = Path(str(pick(rng, files)))
    if path.suffix == ".onnx":
        kind, content = edited_tree(path.read_bytes(), "onnx", rng)
    elif path.suffix == ".safetensors":
        kind, content = edited_safetensors(path.read_bytes(), rng)
    else:
        kind, content = (edited_json if path.suffix == ".json" else edited)(path.read_bytes(), rng)
    path.write_bytes(content)
    if rng.random() < 0.8:
        _seal()
    return f"{name}/{path.relative_to(INPUT)}: {kind}"


def _seal() -> None:
    """Record the digests of the models in those that were fitted on them, as who writes all of them can."""
    head = INPUT / "head" / checkpoint.CONFIG
    try:
        config = json.loads(head.read_text())
        config["probes"] = checkpoint.digest(INPUT / "probes")
        config["features"]["motion_embeddings"]["model"] = checkpoint.digest(INPUT / "motion")
        head.write_text(json.dumps(config))
        graphs = INPUT / "onnx/config.json"
        if graphs.is_file():
            recorded = json.loads(graphs.read_text())
            recorded["motion"] = checkpoint.digest(INPUT / "motion")
            graphs.write_text(json.dumps(recorded))
    except (ValueError, KeyError, TypeError, RecursionError):  # the edited file is one of these
        pass


def load(project: Path) -> Outcome:
    """Load the recogniser, and classify a clip with it."""
    model = Recognizer.load(INPUT, COMPUTE)
    ending, content = rendered()[0]
    path = Path(f"clip.{ending}")
    path.write_bytes(content)
    (answer,) = model.predict([str(path)])
    if isinstance(answer, UserError):
        return outcomes.refused(answer)
    return Outcome(outcomes.ACCEPTED)
