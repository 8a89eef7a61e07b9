"""The command line: python -m mocliplite COMMAND. Exit status 0 well, 1 the run failed, 2 a bad argument or file."""

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path

from mocliplite import __version__, commands, params, stale
from mocliplite.errors import UserError, run

Add = Callable[..., argparse.Action]
_MODELS = "models"
# What answers with the trained models, or with what was found of them.
OF_MODELS = (
    commands.predict,
    commands.search,
    commands.results,
    commands.cost,
    commands.export,
    commands.report,
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the arguments and call the command; UserError leaves by errors.run."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    whole = parser()
    known = list(commands_of(whole))
    if words and not words[0].startswith("-") and words[0] not in known:
        nearest = get_close_matches(words[0], known, n=1, cutoff=0)[0]
        raise UserError(f"{words[0]} is not a command; the nearest is {nearest}, and --help lists all.")
    _refuse_misspelt(words, whole)
    given = whole.parse_args(words)
    # An exported folder has its own settings; what lies here should be of these.
    if given.command in OF_MODELS and _is_ours(given):
        warning = stale.warning()
        if warning:
            print(f"warning: {warning}", file=sys.stderr)
    given.command(given)


def _refuse_misspelt(words: Sequence[str], whole: argparse.ArgumentParser) -> None:
    """Raise UserError for an option that its command has not; argparse would name none, and show the wrong usage."""
    command = commands_of(whole).get(words[0]) if words else None
    if command is None:
        return
    known = list(command._option_string_actions)
    for word in words[1:]:
        if word == "--":
            return
        name = word.split("=")[0]
        # argparse takes the beginning of a long option for it.
        if re.fullmatch(r"--?[A-Za-z][\w-]*", name) and not any(option.startswith(name) for option in known):
            nearest = get_close_matches(name, known, n=1, cutoff=0)[0]
            raise UserError(f"{name} is not an option of {words[0]}; the nearest is {nearest}, and --help lists all.")


def _is_ours(given: argparse.Namespace) -> bool:
    return Path(getattr(given, "model", _MODELS)) == Path(_MODELS)


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    whole = argparse.ArgumentParser(prog="python -m mocliplite", description="Action recognition on your own clips.")
    whole.add_argument("--version", action="version", version=__version__)
    subparsers = whole.add_subparsers(required=True, metavar="COMMAND")

    def command(function: Callable[[argparse.Namespace], None], what: str, epilog: str | None = None) -> Add:
        """Add a command that is named after its function; returns what adds its arguments."""
        one = subparsers.add_parser(function.__name__.replace("_", "-"), help=what, epilog=epilog)
        one.set_defaults(command=function)
        return one.add_argument

    add = command(
        commands.predict,
        "classes of clips",
        "examples: python -m mocliplite predict my.mp4; ls clips/*.mp4 | python -m mocliplite predict -",
    )
    add("clips", nargs="+", metavar="CLIP", help="video files, or - for a list of them on standard input")
    add("--top", type=_positive, default=5, help="classes to print (5)")
    add("--json", action="store_true", help="print one JSON list")
    add("--model", default=_MODELS, metavar="DIR", help="folder of the trained models (models)")
    add("--device", choices=["auto", "cpu", "cuda"], default="auto", help="where networks run (auto)")

    add = command(commands.probe, "what a clip holds", "example: python -m mocliplite probe my_clips/ other.mp4")
    add("paths", nargs="+", metavar="PATH", help="clips, or folders of clips")

    add = command(
        commands.show, "a picture of a clip's motion", "example: python -m mocliplite show my.mp4 --out vectors.png"
    )
    add("clip", metavar="CLIP")
    add("--out", default="vectors.png", metavar="PNG", help="file to write (vectors.png)")

    add = command(
        commands.search,
        "clips by words, or by likeness to a clip",
        'example: python -m mocliplite search "somebody shakes hands" --top 5',
    )
    add("text", nargs="?", metavar="TEXT", help="what the keyframe should show")
    add("--like", metavar="CLIP", help="id or path of a clip of the data set")
    add("--top", type=_positive, default=10, help="clips to print (10)")
    add("--html", metavar="FILE", help="write a page with the keyframes as well")

    add = command(commands.init, "settings for your own clips", "example: python -m mocliplite init my_clips --force")
    add("folder", metavar="FOLDER", help="folder with one folder of clips a class")
    add("--clip", metavar="CLIP", help="folder of a CLIP checkpoint, or a hub id (OpenAI's ViT-B/32)")
    add("--out", default=params.FILE, metavar="FILE", help=f"file to write ({params.FILE})")
    add("--force", action="store_true", help="replace the file where it is here already")

    add = command(
        commands.report, "a page on how good it is and where it fails", "example: python -m mocliplite report"
    )
    add("--out", default="report.html", metavar="FILE", help="page to write (report.html)")

    add = command(
        commands.export, "all that prediction needs, in one folder", "example: python -m mocliplite export recogniser"
    )
    add("folder", metavar="DIR", help="folder to make")
    add("--with-clip", action="store_true", help="copy the CLIP as well, also where the hub has it")

    add = command(
        commands.cost,
        "what a clip costs in parameters, operations, bytes and time",
        "example: python -m mocliplite cost my.mp4",
    )
    add("clips", nargs="*", metavar="CLIP", help="clips to time; without, the first 16 of the data set")
    add("--model", default=_MODELS, metavar="DIR", help="folder of the trained models (models)")

    add = command(
        commands.demo, "a local page that answers dropped clips", "example: python -m mocliplite demo --port 8000"
    )
    add("--model", default=_MODELS, metavar="DIR", help="folder of the trained models (models)")
    add("--port", type=_positive, default=7860, help="port of 127.0.0.1 (7860)")

    command(commands.results, "the last evaluation as a table")

    command(
        commands.splits, "mean over splits of experiments", "example: dvc exp show --json | python -m mocliplite splits"
    )

    add = command(commands.info, "what a store is", "example: python -m mocliplite info features/motion")
    add("stores", nargs="+", metavar="STORE", help="folders of shards")

    add = command(commands.verify, "read every byte of a store", "example: python -m mocliplite verify features/motion")
    add("stores", nargs="+", metavar="STORE", help="folders of shards, or single HDF5 files")

    add = command(
        commands.export_store,
        "a store as one file of another format",
        "example: python -m mocliplite export-store features/keyframes --to parquet",
    )
    add("store", metavar="STORE", help="a folder of shards")
    add("--to", required=True, choices=("npz", "parquet"))
    add("--out", metavar="FILE", help="file to write (named after the store, in the working folder)")

    command(commands.doctor, "what would spoil the day: links, locks, ignored metrics, CLIP not at hand")
    return whole


def commands_of(whole: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parser of each command, by name."""
    (found,) = (action for action in whole._actions if isinstance(action, argparse._SubParsersAction))
    return dict(found.choices)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def cli() -> None:
    """The installed command `mocliplite`, and python -m mocliplite."""
    run(main, status=2)


if __name__ == "__main__":
    cli()
