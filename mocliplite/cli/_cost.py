"""The cost per clip: parameters and multiply-accumulates (MACs), bytes in the stores, time on this machine."""

import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

from mocliplite import checkpoint, params
from mocliplite.data.clips import read_clips
from mocliplite.errors import UserError
from mocliplite.files import read_json
from mocliplite.store import stores

STORES = ("features/motion", "features/keyframes", "features/motion_embeddings")
TIMED = 16  # clips of the data set that are timed by default


def lines(clips: Sequence[str], model: str) -> Iterator[str]:
    """Yield three tables as lines of text, the third only if the models can embed new clips.

    clips: paths of the clips to time; empty for the first of the data set. Raises UserError where nothing was trained
    yet, or for a clip that cannot be used.
    """
    yield f"{'part':24} {'parameters':>14} {'MACs per clip':>16}"
    for name, part in read_json("metrics/cost.json").items():
        yield f"{name:24} {part['parameters']:14,} {part['macs']:16,}"
    yield f"\n{'store':36} {'bytes per clip':>19}"
    for folder in STORES:
        yield f"{folder:36} {bytes_per_clip(folder):19,}"
    if "features" in checkpoint.load(Path(model, "head"))[1]["features"]["keyframes"]:
        yield "\nno prediction is timed: keyframe embeddings come from encoder.features"
        return
    timed = clips or _first_clips()
    phases = milliseconds(timed, model)
    yield f"\n{'phase':36} {'milliseconds':>19}  (median of {len(timed)} clips)"
    for phase, median in phases.items():
        yield f"{phase:36} {median:19.2f}"
    yield f"{'sum':36} {sum(phases.values()):19.2f}"


def bytes_per_clip(folder: str) -> int:
    """Return the size of a store's shards divided by the number of its clips; failures do not count."""
    size = sum(shard.stat().st_size for shard in Path(folder).glob("*.h5"))
    return size // max(1, len(stores.open_store(folder).ids))


def milliseconds(clips: Sequence[str], model: str) -> dict[str, float]:
    """Return the milliseconds of each phase of a prediction, the median over the clips, predicted one at a time.

    Raises UserError for the first clip that cannot be used.
    """
    from mocliplite.predict.recognizer import Prediction, Recognizer

    recognizer = Recognizer.load(model)
    times = []
    # The first clip warms up the networks and is not counted.
    for path in [clips[0], *clips]:
        (prediction,) = recognizer.predict([path])
        if not isinstance(prediction, Prediction):
            raise prediction
        times.append(prediction.milliseconds)
    return {phase: statistics.median(row[phase] for row in times[1:]) for phase in times[0]}


def _first_clips() -> list[str]:
    root = params.load().dataset.root
    if params.is_address(root):
        raise UserError(
            f"dataset.root is {root}; give clips on this machine, such as `python -m mocliplite cost my.mp4`."
        )
    paths = [str(Path(root, clip.path)) for clip in read_clips("features/clips.csv") if clip.span.is_whole_file]
    if not paths:
        problem = "features/clips.csv has no clip that is a whole file"
        raise UserError(f"{problem}; give the clips to time, for example `python -m mocliplite cost my.mp4`.")
    return paths[:TIMED]
