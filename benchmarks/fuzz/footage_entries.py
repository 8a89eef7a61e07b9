"""Edited clips in the extracting stages, `predict` and `probe`."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.fuzz import outcomes
from benchmarks.fuzz.clips import Clip, rendered, write_clip
from benchmarks.fuzz.outcomes import Outcome
from mocliplite import params
from mocliplite.data import index
from mocliplite.errors import Failure, UserError
from mocliplite.extraction import keyframes, motion, shard_runs
from mocliplite.predict import timeline
from mocliplite.predict.recognizer import Recognizer
from mocliplite.runtime.arguments import WHOLE
from mocliplite.store import stores
from mocliplite.store.failures import reckon

INPUT = Path("input")
# Clips are decoded in other processes, as in all runs; what is not decoded is computed in this one.
COMPUTE = params.Compute(workers=1, threads=1, device="cpu", engine="processes", time_limit=20)


@cache
def settings_of(project: Path) -> params.Params:
    """Return the settings of a project, for clips in the folder `input`."""
    found = params.load(project / params.FILE)
    encoder = replace(found.encoder, model=str(project / found.encoder.model), files=str(project / found.encoder.files))
    dataset = replace(
        found.dataset, root=str(INPUT), files=str(INPUT), lists=params.NO_PATH, group=None, max_failed=1.0
    )
    return replace(found, dataset=dataset, encoder=encoder, compute=COMPUTE)


@cache
def recognizer(project: Path) -> Recognizer:
    """Return the recogniser that was exported to a project (exports.py)."""
    from benchmarks.fuzz.exports import exported

    return Recognizer.load(exported(project), COMPUTE)


def make_data_set(rng: np.random.Generator, project: Path, clips: list[Clip]) -> str:
    """Write a data set of two classes: an edited clip beside one that is as it was."""
    name = write_clip(INPUT / "edited", rng, clips)
    ending, content = rendered()[0]
    Path(INPUT, "plain").mkdir()
    Path(INPUT, "plain", f"plain.{ending}").write_bytes(content)
    return name


def make_clip(rng: np.random.Generator, project: Path, clips: list[Clip]) -> str:
    """Write one edited clip."""
    return write_clip(INPUT, rng, clips)


def extract(project: Path) -> Outcome:
    """Run what the stages index, motion and keyframes do, and compare the clips of the stores with those on disk."""
    settings = settings_of(project)
    found = index.find_clips(settings.dataset)
    files = {path.relative_to(INPUT).as_posix() for path in INPUT.rglob("*.*") if path.is_file()}
    if {clip.path for clip in found} != files:
        return Outcome(outcomes.LOST, f"{files} on disk, {[clip.path for clip in found]} in the index")
    clips = {clip.id: clip for clip in found}
    failures: dict[str, Failure] = {}
    specs = {"motion": motion.Spec([], settings, False), "keyframes": _keyframes_spec(project)}
    for kind, update in (("motion", motion.update_shards), ("keyframes", keyframes.update_shards)):
        folder = f"features/{kind}"
        spec = replace(specs[kind], shards=shard_runs.shards_of_clips(folder, kind, clips, WHOLE))
        shard_runs.update_store(folder, kind, update, [spec], COMPUTE, WHOLE)
        failures |= reckon(folder, clips, kind)
        store = stores.open_store(folder)
        if sorted([*store.ids, *store.failures]) != sorted(clips) or store.verify():
            return Outcome(outcomes.LOST, f"{kind}: {store.ids} and {sorted(store.failures)} of {sorted(clips)}")
        if "plain__plain" in store.failures:
            return Outcome(outcomes.LOST, f"{kind}: the other clip failed: {store.failures['plain__plain']}")
    return Outcome(outcomes.FAILED, str(next(iter(failures.values())))) if failures else Outcome(outcomes.ACCEPTED)


@cache
def _keyframes_spec(project: Path) -> keyframes.Spec:
    """Return what a worker of the stage is given, without shards. Its figures of the encoder's cost take a second."""
    (spec,) = keyframes.specs_of([], settings_of(project), False)
    return spec


def _clips() -> list[str]:
    return sorted(str(path) for path in INPUT.iterdir())


def predict(project: Path) -> Outcome:
    """Classify the clip."""
    found = list(recognizer(project).predict(_clips()))
    if len(found) != len(_clips()):
        return Outcome(outcomes.LOST, f"{len(found)} answers")
    (answer,) = found
    if isinstance(answer, UserError):
        return outcomes.refused(answer)
    total = sum(probability for _, probability in answer.classes)
    return Outcome(outcomes.ACCEPTED) if abs(total - 1) < 0.01 else Outcome(outcomes.OTHER, f"sum {total}")


def predict_windows(project: Path) -> Outcome:
    """Classify windows of the clip."""
    model = recognizer(project)
    settings, cost = timeline.window_settings(model, 0.3, 0.15, motion_only=False), timeline.Cost()
    for path in _clips():
        steps = list(timeline.classify_file(model, path, settings, cost))
        if not steps:
            return Outcome(outcomes.LOST, "no window and no sentence")
        for reason in cost.reasons:
            return Outcome(outcomes.FAILED, reason)
    return Outcome(outcomes.ACCEPTED)


def probe(project: Path) -> Outcome:
    """Print the properties of the clip."""
    path = _clips()[0]
    outcome, printed = outcomes.command(["probe", "--", path])
    if outcome.kind == outcomes.ACCEPTED and len(printed.splitlines()) < 2:
        return Outcome(outcomes.LOST, printed)
    return outcome
