"""`predict`: the classes of clips."""

import argparse
import codecs
import json
import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mocliplite.cli._shared import MODELS, add_model, clip_paths, compute, positive_int, refuse_failed
from mocliplite.errors import UserError

if TYPE_CHECKING:
    from mocliplite.predict.recognizer import Prediction
    from mocliplite.predict.zero_shot import ZeroShotRecognizer

HELP = "classify clips"
EXAMPLE = (
    "examples: python -m mocliplite predict my.mp4; ls clips/*.mp4 | python -m mocliplite predict -; "
    'python -m mocliplite predict my.mp4 --words "waving, falling, walking"'
)
USES_MODELS = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add = parser.add_argument
    add("clips", nargs="+", metavar="CLIP", help="videos or folders of them, or - to read a list from standard input")
    add("--top", type=positive_int, default=5, help="number of classes to print (5)")
    add("--json", action="store_true", help="print one JSON list")
    add_model(parser)
    add("--words", metavar="W,W", help="choose from these words instead: zero-shot, without trained models")
    add("--clip", metavar="CLIP", help="CLIP for --words: a folder or hub id (encoder.model of params.yaml)")
    add(
        "--time-limit", type=positive_int, metavar="SECONDS", help="of decoding one clip (compute.time_limit, else 300)"
    )
    add("--device", choices=["auto", "cpu", "cuda"], default="auto", help="device of the networks (auto)")


def run(given: argparse.Namespace) -> None:
    """Print the classes of each clip; for a bad clip, print an error and go on with the others."""
    from mocliplite.cli import _words
    from mocliplite.predict.recognizer import Prediction, Recognizer
    from mocliplite.runtime.progress import progress

    paths, empty = _clips(_places(given.clips))
    failed = 0
    settings = compute()
    settings = replace(settings, device=given.device, time_limit=given.time_limit or settings.time_limit)
    if given.words is not None:
        if given.model != MODELS:
            raise UserError("--words uses no trained models; leave out --model.")
        recognizer: Recognizer | ZeroShotRecognizer = _words.load(given.words, given.clip, settings)
    elif given.clip is not None:
        raise UserError("--clip is used with --words only; the trained models name their own CLIP.")
    else:
        recognizer = Recognizer.load(given.model, settings)
    rows: list[dict[str, Any]] = []
    # Without --json the predictions themselves show the progress. A program that reads stderr gets errors only.
    bar = progress("predict", len(paths), "clip") if given.json and sys.stderr.isatty() else None
    for path, prediction in zip(paths, recognizer.predict(paths), strict=True):
        if bar is not None:
            bar.update()
        if isinstance(prediction, Prediction):
            rows.append(_row(prediction, given.top))
            if not given.json:
                print("\n".join(_lines(rows[-1])), flush=True)
        else:
            failed += 1
            if bar is not None:
                bar.clear()
            print(f"error: {empty.get(path, prediction)}", file=sys.stderr, flush=True)
    if bar is not None:
        bar.close()
    if given.json:
        print(_json(rows))
    refuse_failed(failed, len(paths))


def _clips(places: list[str]) -> tuple[list[str], dict[str, UserError]]:
    """Return the clips in order, folders replaced by theirs, and the error for each folder without any."""
    paths: list[str] = []
    empty: dict[str, UserError] = {}
    for place in places:
        try:
            paths += clip_paths(place)
        except UserError as error:
            paths.append(place)
            empty[place] = error
    return paths, empty


def _places(clips: list[str]) -> list[str]:
    """The arguments, or the lines of standard input that are not blank, whoever ended them."""
    if clips != ["-"]:
        return clips
    lines = sys.stdin.buffer.read().removeprefix(codecs.BOM_UTF8).splitlines()
    return [os.fsdecode(line) for line in lines if line.strip()]


def _json(rows: list[dict[str, Any]]) -> str:
    """Return the predictions as JSON, with escape sequences if the terminal or a file name is not Unicode text."""
    text = json.dumps(rows, indent=2, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(rows, indent=2)
    return text


def _row(prediction: "Prediction", top: int) -> dict[str, Any]:
    return {
        "clip": prediction.path,
        "classes": [{"class": name, "probability": round(p, 4)} for name, p in prediction.classes[:top]],
        "shares": {stream: round(share, 3) for stream, share in prediction.shares.items()},
        "milliseconds": {phase: round(value, 2) for phase, value in prediction.milliseconds.items()},
    }


def _lines(row: dict[str, Any]) -> list[str]:
    shares = ", ".join(f"{stream} {share:+.2f}" for stream, share in row["shares"].items())
    times = ", ".join(f"{phase} {value:.1f}" for phase, value in row["milliseconds"].items())
    first, *rest = [f"  {item['probability']:6.1%}  {item['class']}" for item in row["classes"]]
    return [row["clip"], f"{first}  ({shares})" if shares else first, *rest, f"  ms: {times}"]
