"""The command line: python -m mocliplite COMMAND. Exit status 0 well, 1 the run failed, 2 a bad argument or file."""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mocliplite import averaging, dataset
from mocliplite.errors import UserError, run
from mocliplite.results import table


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
    """Print codec, size, rate, frames by kind, and vectors a frame, or why there are none."""
    from mocliplite import motion, video

    paths = [path for place in given.paths for path in _videos(place)]
    print(f"{'codec':8} {'size':>9} {'fps':>6} {'frames':>6} {'I':>4} {'P':>5} {'B':>5} {'vectors/frame':>13}  clip")

    def show(path: str) -> None:
        head = video.info(path)
        frames = [(kind, len(vectors)) for kind, vectors in video.motion_vectors(path)]
        kinds = Counter(kind for kind, _ in frames)
        counts = f"{len(frames):6} {kinds['I']:4} {kinds['P']:5} {kinds['B']:5}"
        vectors = sum(count for _, count in frames) / max(1, len(frames))
        size = f"{head.width}x{head.height}"
        why = "" if vectors else f"  {motion.why_none(head.codec, [kind for kind, _ in frames])}"
        print(f"{head.codec:8} {size:>9} {head.fps:6.2f} {counts} {vectors:13.1f}  {path}{why}")

    _refuse(_each(paths, show), len(paths))


def results(_: argparse.Namespace) -> None:
    """Print the figures of metrics/eval.json as a table."""
    path = Path("metrics/eval.json")
    if not path.is_file():
        raise UserError(f"{path} is not here; run `dvc repro`, in the project's folder.")
    print(table(json.loads(path.read_text(encoding="utf-8"))))


def splits(_: argparse.Namespace) -> None:
    """Print the mean over splits of the experiments that `dvc exp show --json` prints, read from standard input."""
    print(averaging.over_splits(sys.stdin.read()))


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


def _refuse(bad: int, total: int) -> None:
    if bad:
        raise UserError(f"{bad} of {total} clips could not be used; see above.")


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

    one = commands.add_parser("results", help="the last evaluation as a table")
    one.set_defaults(command=results)

    one = commands.add_parser(
        "splits",
        help="mean over splits of experiments",
        epilog="example: dvc exp show --json | python -m mocliplite splits",
    )
    one.set_defaults(command=splits)
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


if __name__ == "__main__":
    run(main, status=2)
