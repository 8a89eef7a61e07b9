"""The command line: python -m mocliplite COMMAND. Exit status 0 well, 1 the run failed, 2 a bad argument or file."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mocliplite import dataset, scores
from mocliplite.errors import UserError, run


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the arguments and call the command; UserError leaves by errors.run."""
    given = _parser().parse_args(arguments)
    given.command(given)


def predict(given: argparse.Namespace) -> None:
    """Print the classes of each clip; a bad clip gets its sentence and does not stop the others."""
    from mocliplite.predict import Recognizer

    recognizer = Recognizer.load(given.model)
    answers: list[dict[str, Any]] = []

    def answer(path: str) -> None:
        top = recognizer(path)[: given.top]
        answers.append({"clip": path, "classes": [{"class": name, "probability": round(p, 4)} for name, p in top]})
        if not given.json:
            print(path, *(f"  {p:6.1%}  {name}" for name, p in top), sep="\n")

    bad = _each(given.clips, answer)
    if given.json:
        print(json.dumps(answers, indent=2, ensure_ascii=False))
    _refuse(bad, len(given.clips))


def probe(given: argparse.Namespace) -> None:
    """Print codec, size, rate, frames by kind, and vectors a frame, or why there are none; of several a summary too."""
    from mocliplite import probe

    paths = [path for place in given.paths for path in _videos(place)]
    clips: list[probe.Clip] = []
    print(probe.HEAD)

    def show(path: str) -> None:
        clips.append(probe.probe(path))
        print(probe.line(clips[-1]), flush=True)

    bad = _each(paths, show)
    if len(paths) > 1:
        print(probe.summary(clips, bad))
    _refuse(bad, len(paths))


def show(given: argparse.Namespace) -> None:
    """Write a picture of a clip's motion."""
    from mocliplite.show import show

    print(show(given.clip, given.out))


def results(_: argparse.Namespace) -> None:
    """Print the figures of metrics/eval.json as a table."""
    path = Path("metrics/eval.json")
    if not path.is_file():
        raise UserError(f"{path} is not here; run `dvc repro`, in the project's folder.")
    print(scores.table(json.loads(path.read_text(encoding="utf-8"))))


def info(given: argparse.Namespace) -> None:
    """Print what each store is."""
    from mocliplite.info import describe

    _refuse(_each(given.stores, lambda path: print(describe(path))), len(given.stores), "stores")


def verify(given: argparse.Namespace) -> None:
    """Read every byte of each store; print what is damaged."""
    from mocliplite import store

    damaged = 0
    for path in given.stores:
        found = store.verify(path)
        print(*found or [f"{path}: all is as it was written"], sep="\n")
        damaged += bool(found)
    if damaged:
        print(f"error: {damaged} of {len(given.stores)} stores are damaged; see above.", file=sys.stderr)
        sys.exit(1)


def export_store(given: argparse.Namespace) -> None:
    """Write a store into one file of another format in the working folder."""
    from mocliplite.exporting import export_store

    print(export_store(given.store, given.to))


def doctor(_: argparse.Namespace) -> None:
    """Print what is well, and what would spoil the day and how to mend it."""
    from mocliplite.doctor import findings

    found = list(findings())
    for finding in found:
        print(f"{finding.mark:5} {finding.sentence}")
    if any(finding.mark == "BAD" for finding in found):
        sys.exit(1)


def _each(paths: Sequence[str], work: Callable[[str], None]) -> int:
    """Call work for every path; a UserError is printed and counted."""
    bad = 0
    for path in paths:
        try:
            work(path)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            bad += 1
    return bad


def _refuse(bad: int, total: int, what: str = "clips") -> None:
    if bad:
        raise UserError(f"{bad} of {total} {what} could not be used; see above.")


def _videos(place: str) -> list[str]:
    if not Path(place).is_dir():
        return [place]
    found = sorted(str(path) for path in Path(place).rglob("*") if path.suffix.lower() in dataset.ENDINGS)
    if not found:
        raise UserError(f"{place} holds no clip ({', '.join(dataset.ENDINGS)}); check the path.")
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m mocliplite", description="Action recognition on your own clips.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    one = commands.add_parser("predict", help="classes of clips", epilog="example: python -m mocliplite predict my.mp4")
    one.add_argument("clips", nargs="+", metavar="CLIP")
    one.add_argument("--top", type=_positive, default=5, help="classes to print (5)")
    one.add_argument("--json", action="store_true", help="print one JSON list")
    one.add_argument("--model", default="models", metavar="DIR", help="folder of the trained models (models)")
    one.set_defaults(command=predict)

    one = commands.add_parser(
        "probe", help="what a clip holds", epilog="example: python -m mocliplite probe my_clips/ other.mp4"
    )
    one.add_argument("paths", nargs="+", metavar="PATH", help="clips, or folders of clips")
    one.set_defaults(command=probe)

    one = commands.add_parser(
        "show",
        help="a picture of a clip's motion",
        epilog="example: python -m mocliplite show my.mp4 --out vectors.png",
    )
    one.add_argument("clip", metavar="CLIP")
    one.add_argument("--out", default="vectors.png", metavar="PNG", help="file to write (vectors.png)")
    one.set_defaults(command=show)

    one = commands.add_parser("results", help="the last evaluation as a table")
    one.set_defaults(command=results)

    one = commands.add_parser(
        "info", help="what a store is", epilog="example: python -m mocliplite info features/motion"
    )
    one.add_argument("stores", nargs="+", metavar="STORE", help="folders of shards")
    one.set_defaults(command=info)

    one = commands.add_parser(
        "verify", help="read every byte of a store", epilog="example: python -m mocliplite verify features/motion"
    )
    one.add_argument("stores", nargs="+", metavar="STORE", help="folders of shards, or single HDF5 files")
    one.set_defaults(command=verify)

    one = commands.add_parser(
        "export-store",
        help="a store as one file of another format",
        epilog="example: python -m mocliplite export-store features/keyframes --to parquet",
    )
    one.add_argument("store", metavar="STORE", help="a folder of shards")
    one.add_argument("--to", required=True, choices=("npz", "parquet"))
    one.set_defaults(command=export_store)

    one = commands.add_parser(
        "doctor", help="what would spoil the day: links, locks, ignored metrics, CLIP not at hand"
    )
    one.set_defaults(command=doctor)
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


if __name__ == "__main__":
    run(main, status=2)
