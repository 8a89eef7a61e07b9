"""What a clip costs: parameters and multiply-accumulates, bytes in the cache, and time on this machine."""

import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

from mocliplite import params
from mocliplite.data.clips import read_clips
from mocliplite.errors import UserError
from mocliplite.files import read_json
from mocliplite.store import stores

STORES = ("features/motion", "features/keyframes", "features/motion_embeddings")
TIMED = 16  # clips of the data set that are timed where none are named


def lines(clips: Sequence[str], model: str) -> Iterator[str]:
    """Three tables as lines of text. Raises UserError where nothing was trained yet, or no clip can be used."""
    yield f"{'part':24} {'parameters':>14} {'MACs a clip':>16}"
    for name, part in read_json("metrics/cost.json").items():
        yield f"{name:24} {part['parameters']:14,} {part['macs']:16,}"
    yield f"\n{'store':36} {'bytes a clip':>19}"
    for folder in STORES:
        yield f"{folder:36} {bytes_a_clip(folder):19,}"
    chosen = clips or _of_the_data_set()
    phases = milliseconds(chosen, model)
    yield f"\n{'phase':36} {'milliseconds':>19}  (median of {len(chosen)} clips)"
    for phase, spent in phases.items():
        yield f"{phase:36} {spent:19.2f}"
    yield f"{'sum':36} {sum(phases.values()):19.2f}"


def bytes_a_clip(folder: str) -> int:
    """Size of a store's shards by the number of its clips, failures left out."""
    size = sum(shard.stat().st_size for shard in Path(folder).glob("*.h5"))
    return size // max(1, len(stores.open_store(folder).ids))


def milliseconds(clips: Sequence[str], model: str) -> dict[str, float]:
    """Median over clips of what each phase of recognising one takes, one clip after the other.

    Raises the UserError of the first clip that cannot be used.
    """
    from mocliplite.predict.recognizer import Answer, Recognizer

    recognizer = Recognizer.load(model)
    answers = []
    # The first clip once more: what it takes to warm up is no clip's own.
    for path in [clips[0], *clips]:
        (answer,) = recognizer.answers([path])
        if not isinstance(answer, Answer):
            raise answer
        answers.append(answer)
    spent = [answer.milliseconds for answer in answers[1:]]
    return {phase: statistics.median(row[phase] for row in spent) for phase in spent[0]}


def _of_the_data_set() -> list[str]:
    root = Path(params.load().dataset.root)
    paths = [str(root / clip.path) for clip in read_clips("features/clips.csv")[:TIMED]]
    if not paths:
        raise UserError("features/clips.csv has no clip; name one: python -m mocliplite cost my.mp4")
    return paths
