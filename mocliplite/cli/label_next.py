"""`label-next`: which clips of a folder to label next."""

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mocliplite.cli._outputs import check_outputs
from mocliplite.cli._results_file import path_cell
from mocliplite.cli._shared import (
    MODELS,
    clip_paths,
    compute,
    for_each,
    positive_int,
    refuse_failed,
    refuse_missing_folder,
    refuse_undecodable,
)
from mocliplite.errors import UserError

if TYPE_CHECKING:
    from mocliplite.predict.recognizer import Prediction

HELP = "list the clips of a folder that are most useful to label next"
EXAMPLE = "example: python -m mocliplite label-next unlabelled/ --count 20 --csv next.csv"
USES_MODELS = True
COLUMNS = ("rank", "path", "class", "probability", "margin", "distance", "reason")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add = parser.add_argument
    add("folder", metavar="FOLDER", help="folder of clips without labels")
    add("--count", type=positive_int, default=20, help="number of clips to list (20)")
    add("--csv", metavar="FILE", help="also write the list to a file")


def run(given: argparse.Namespace) -> None:
    """List the clips to label next; for a bad clip, print an error and go on with the others."""
    from mocliplite import checkpoint
    from mocliplite.csv_files import text_cell, write_rows
    from mocliplite.data.clips import read_clips
    from mocliplite.fusion.pairs import check_fitted_on, read_split
    from mocliplite.predict.recognizer import Recognizer

    if given.csv:
        refuse_missing_folder(given.csv, "--csv")
    if not Path(given.folder).is_dir():
        raise UserError(f"{given.folder} is not a folder; give a folder of clips without labels.")
    found = clip_paths(given.folder)
    check_outputs({"--csv": given.csv}, found)
    if given.csv:
        refuse_undecodable(found, "--csv")
    recognizer = Recognizer.load(MODELS, compute())
    pairs = read_split("features/pairs.h5", "train", ("keyframe", "motion"))
    check_fitted_on(checkpoint.load(f"{MODELS}/head")[1], pairs, f"{MODELS}/head")

    paths, known, failed = _new_clips(found, {clip.sha256 for clip in read_clips("features/clips.csv")})
    copies = len(found) - len(paths) - known - failed
    predictions = _usable(recognizer.predict(paths), len(paths))
    failed += len(paths) - len(predictions)
    rows = _ranked(predictions, pairs.arrays, given.count)
    print(f"clips: {len(found)}; left out: {known} in the data set already, {copies} with the content of another clip")
    print("\n".join(_lines(rows)))
    if given.csv:
        cells = [(rank, path_cell(str(path)), text_cell(str(name)), *rest) for rank, path, name, *rest in rows]
        write_rows(given.csv, COLUMNS, cells)
        print(f"wrote {given.csv}")
    refuse_failed(failed, len(found))


def _new_clips(paths: Sequence[str], in_data_set: set[str]) -> tuple[list[str], int, int]:
    """Return the clips whose content is not that of a clip of the data set, each content once.

    Also returns how many clips are left out because they are in the data set, and how many cannot be read, for which it
    prints the error. in_data_set: SHA-256 digests.
    """
    from mocliplite.data.contents import size_and_digest

    first: dict[str, str] = {}
    known: list[str] = []

    def add(path: str) -> None:
        _, digest = size_and_digest(Path(path))
        if digest in in_data_set:
            known.append(path)
        else:
            first.setdefault(digest, path)

    failed = for_each(paths, add)
    return list(first.values()), len(known), failed


def _usable(predictions: "Iterable[Prediction | UserError]", total: int) -> "list[Prediction]":
    """Return the predictions, and print the errors of clips that cannot be used."""
    from mocliplite.predict.recognizer import Prediction
    from mocliplite.runtime.progress import progress

    usable = []
    with progress("label-next", total, "clip") as bar:
        for prediction in predictions:
            bar.update()
            if isinstance(prediction, Prediction):
                usable.append(prediction)
            else:
                bar.clear()
                print(f"error: {prediction}", file=sys.stderr, flush=True)
    return usable


def _ranked(predictions: "list[Prediction]", train: dict[str, Any], count: int) -> list[tuple[object, ...]]:
    """Return the rows of the list, with COLUMNS."""
    import numpy as np

    from mocliplite.fusion import active_learning

    if not predictions:
        return []
    embeddings = {
        stream: np.stack([prediction.embeddings[stream] for prediction in predictions])
        for stream in predictions[0].embeddings
    }
    margins = np.array([_margin(item) for item in predictions])
    labelled = {stream: train[stream][:, 0] for stream in embeddings}
    rows: list[tuple[object, ...]] = []
    for rank, choice in enumerate(active_learning.choose(margins, embeddings, labelled, count), start=1):
        item = predictions[choice.row]
        name, probability = item.classes[0]
        figures = (round(value, 4) for value in (probability, float(margins[choice.row]), choice.distance))
        rows.append((rank, item.path, name, *figures, choice.reason))
    return rows


def _margin(prediction: "Prediction") -> float:
    """Return the gap between the two most probable classes, or between the threshold and the class nearest to it."""
    if prediction.threshold is not None:
        return min(abs(probability - prediction.threshold) for _, probability in prediction.classes)
    (_, first), (_, second), *_ = prediction.classes
    return first - second


def _lines(rows: Sequence[tuple[object, ...]]) -> list[str]:
    """Return the list as text, with the path at the end of the line."""
    width = max((len(str(row[2])) for row in rows), default=0) + 2
    header = f"rank  {'class':<{width}}probability  margin  distance  reason     path"
    lines = [
        f"{rank:4}  {name:<{width}}{probability:11.3f}  {margin:6.3f}  {distance:8.3f}  {reason:<9}  {path}"
        for rank, path, name, probability, margin, distance, reason in rows
    ]
    return [header, *lines] if lines else ["nothing is left to label"]
