"""The command line: python -m mocliplite COMMAND. Exit status 0 well, 1 the run failed, 2 a bad argument or file."""

import argparse
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mocliplite import __version__, averaging, dataset, params, stale
from mocliplite.errors import UserError, run
from mocliplite.files import read_json
from mocliplite.progress import progress
from mocliplite.results import table

if TYPE_CHECKING:
    from mocliplite.predict import Answer

Add = Callable[..., argparse.Action]
_MODELS = "models"


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
    if given.command in (predict, search, results, cost, export, report) and _is_ours(given):
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


def predict(given: argparse.Namespace) -> None:
    """Print the classes of each clip; a bad clip gets its sentence and does not stop the others."""
    from mocliplite.predict import COMPUTE, Answer, Recognizer

    paths = [line.rstrip("\n") for line in sys.stdin] if given.clips == ["-"] else given.clips
    recognizer = Recognizer.load(given.model, replace(COMPUTE, device=given.device))
    rows: list[dict[str, Any]] = []
    bad = 0
    # Without --json the answers themselves show how far it is; a program gets nothing but sentences on stderr.
    bar = progress("predict", len(paths), "clip") if given.json and sys.stderr.isatty() else None
    for answer in recognizer.answers(paths):
        if bar is not None:
            bar.update()
        if isinstance(answer, Answer):
            rows.append(_row(answer, given.top))
            if not given.json:
                print("\n".join(_lines(rows[-1])), flush=True)
        else:
            bad += 1
            if bar is not None:
                bar.clear()
            print(f"error: {answer}", file=sys.stderr, flush=True)
    if bar is not None:
        bar.close()
    if given.json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
    _refuse(bad, len(paths))


def _row(answer: "Answer", top: int) -> dict[str, Any]:
    return {
        "clip": answer.path,
        "classes": [{"class": name, "probability": round(p, 4)} for name, p in answer.classes[:top]],
        "shares": {stream: round(share, 3) for stream, share in answer.shares.items()},
        "milliseconds": {phase: round(spent, 2) for phase, spent in answer.milliseconds.items()},
    }


def _lines(row: dict[str, Any]) -> list[str]:
    shares = ", ".join(f"{stream} {share:+.2f}" for stream, share in row["shares"].items())
    spent = ", ".join(f"{phase} {value:.1f}" for phase, value in row["milliseconds"].items())
    first, *rest = [f"  {one['probability']:6.1%}  {one['class']}" for one in row["classes"]]
    return [row["clip"], f"{first}  ({shares})", *rest, f"  ms: {spent}"]


def probe(given: argparse.Namespace) -> None:
    """Print codec, size, rate, frames by kind, and vectors a frame, or why there are none; of several a summary too."""
    from mocliplite import probe

    paths = [path for place in given.paths for path in _videos(place)]
    clips: list[probe.Clip] = []
    print(probe.HEAD)

    def show(path: str) -> None:
        if not Path(path).exists():
            raise UserError(f"{path} is neither a clip nor a folder of clips; check the path.")
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


def search(given: argparse.Namespace) -> None:
    """Print the clips nearest to some words, or most like a clip; optionally a page with their keyframes."""
    from mocliplite import search as finder
    from mocliplite import store

    if (given.text is None) == (given.like is None):
        raise UserError("give either words to search for, or --like and a clip.")
    if given.html:
        _refuse_lacking_folder(given.html, "--html")
    settings = params.load()
    clips = {clip.id: clip for clip in dataset.read_clips("features/clips.csv")}
    keyframes = store.open_store("features/keyframes")
    if given.like is None:
        title, hits = f"Clips for {given.text!r}", finder.by_text(given.text, keyframes, given.top, settings.compute)
    else:
        wanted = _clip_id(given.like, settings.dataset.root, clips)
        motion = store.open_store("features/motion_embeddings")
        title, hits = f"Clips like {wanted}", finder.by_likeness(wanted, keyframes, motion, given.top)
    found = [(hit, clips[hit.id], f"{settings.dataset.root}/{clips[hit.id].path}") for hit in hits if hit.id in clips]
    for hit, clip, path in found:
        print(f"{hit.score:6.3f}  {clip.label}  {hit.id}  {path}")
    if given.html:
        from mocliplite import page
        from mocliplite.keyframes import keyframes as taken

        def shown(path: str) -> str:
            return page.picture(taken(path, 1, settings.clip.pick)[0].image)

        rows = [{**asdict(hit), "label": clip.label, "path": path, "image": shown(path)} for hit, clip, path in found]
        page.write(given.html, "search.html", title=title, hits=rows)
        print(f"wrote {given.html}")


def init(given: argparse.Namespace) -> None:
    """Look at a folder of own clips and write settings for it."""
    from mocliplite import init as own

    out = Path(given.out)
    _refuse_lacking_folder(given.out)
    if out.exists() and not given.force:
        raise UserError(f"{out} is here already; give --force to replace it, or --out another file.")
    clip = own.find_clip(given.clip)
    found = own.look(given.folder)
    print(own.describe(found))
    print(clip.sentence)
    own.write(out, found, given.clip)
    print(f"wrote {out}; {own.next_step(out, found, clip)}")


def results(_: argparse.Namespace) -> None:
    """Print the figures of metrics/eval.json as a table."""
    print(table(read_json("metrics/eval.json")))


def cost(given: argparse.Namespace) -> None:
    """Print what a clip costs: parameters and MACs by part, bytes by store, milliseconds by phase on this machine."""
    from mocliplite.cost import lines

    for line in lines(given.clips, given.model):
        print(line, flush=True)


def export(given: argparse.Namespace) -> None:
    """Write all that prediction needs into one folder."""
    from mocliplite.export import export as write

    write(given.folder, given.with_clip)
    print(f"wrote {given.folder}; try: python -m mocliplite predict --model {given.folder} CLIP")


def demo(given: argparse.Namespace) -> None:
    """Serve a page on which one drops a clip."""
    from mocliplite.demo import serve

    serve(given.model, given.port)


def report(given: argparse.Namespace) -> None:
    """Write the report, and name the clips whose picture it lacks."""
    from mocliplite import report as page

    _refuse_lacking_folder(given.out)
    missing = page.write(given.out)
    for sentence in missing:
        print(f"without a picture: {sentence}", file=sys.stderr)
    print(f"wrote {given.out}")


def _clip_id(named: str, root: str, clips: Mapping[str, dataset.Clip]) -> str:
    """The id of a clip that is named by its id, its path below the root, or its whole path."""
    for clip in clips.values():
        if named in (clip.id, clip.path, f"{root}/{clip.path}"):
            return clip.id
    raise UserError(f"{named} is no clip of features/clips.csv; give its id or its path.")


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
    from mocliplite.export_store import export_store

    print(export_store(given.store, given.to, given.out))


def doctor(_: argparse.Namespace) -> None:
    """Print what is well, and what would spoil the day and how to mend it."""
    from mocliplite.doctor import findings

    found = list(findings())
    for finding in found:
        print(f"{finding.mark:5} {finding.sentence}")
    if any(finding.mark == "BAD" for finding in found):
        sys.exit(1)


def splits(_: argparse.Namespace) -> None:
    """Print the mean over splits of the experiments that `dvc exp show --json` prints, read from standard input."""
    tables, left_out = averaging.over_splits(sys.stdin.read())
    for sentence in left_out:
        print(f"left out: {sentence}", file=sys.stderr)
    if not tables:
        print(f"error: no two finished runs differ in dataset.split alone; {averaging.WANTED}.", file=sys.stderr)
        sys.exit(1)
    print("\n\n".join(tables))


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


def _refuse_lacking_folder(path: str, option: str = "--out") -> None:
    """Raise UserError where the folder of a file to be written is not here; it may be misspelt, so it is not made."""
    folder = Path(path).parent
    if not folder.is_dir():
        raise UserError(f"{option} is {path}, but there is no folder {folder}; make it, or correct the path.")


def _videos(place: str) -> list[str]:
    if not Path(place).is_dir():
        return [place]
    found = sorted(str(path) for path in Path(place).rglob("*") if path.suffix.lower() in dataset.ENDINGS)
    if not found:
        raise UserError(f"{place} holds no clip ({', '.join(dataset.ENDINGS)}); check the path.")
    return found


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    whole = argparse.ArgumentParser(prog="python -m mocliplite", description="Action recognition on your own clips.")
    whole.add_argument("--version", action="version", version=__version__)
    commands = whole.add_subparsers(required=True, metavar="COMMAND")

    def command(function: Callable[[argparse.Namespace], None], what: str, epilog: str | None = None) -> Add:
        """Add a command that is named after its function; returns what adds its arguments."""
        one = commands.add_parser(function.__name__.replace("_", "-"), help=what, epilog=epilog)
        one.set_defaults(command=function)
        return one.add_argument

    add = command(
        predict,
        "classes of clips",
        "examples: python -m mocliplite predict my.mp4; ls clips/*.mp4 | python -m mocliplite predict -",
    )
    add("clips", nargs="+", metavar="CLIP", help="video files, or - for a list of them on standard input")
    add("--top", type=_positive, default=5, help="classes to print (5)")
    add("--json", action="store_true", help="print one JSON list")
    add("--model", default=_MODELS, metavar="DIR", help="folder of the trained models (models)")
    add("--device", choices=["auto", "cpu", "cuda"], default="auto", help="where networks run (auto)")

    add = command(probe, "what a clip holds", "example: python -m mocliplite probe my_clips/ other.mp4")
    add("paths", nargs="+", metavar="PATH", help="clips, or folders of clips")

    add = command(show, "a picture of a clip's motion", "example: python -m mocliplite show my.mp4 --out vectors.png")
    add("clip", metavar="CLIP")
    add("--out", default="vectors.png", metavar="PNG", help="file to write (vectors.png)")

    add = command(
        search,
        "clips by words, or by likeness to a clip",
        'example: python -m mocliplite search "somebody shakes hands" --top 5',
    )
    add("text", nargs="?", metavar="TEXT", help="what the keyframe should show")
    add("--like", metavar="CLIP", help="id or path of a clip of the data set")
    add("--top", type=_positive, default=10, help="clips to print (10)")
    add("--html", metavar="FILE", help="write a page with the keyframes as well")

    add = command(init, "settings for your own clips", "example: python -m mocliplite init my_clips --force")
    add("folder", metavar="FOLDER", help="folder with one folder of clips a class")
    add("--clip", metavar="CLIP", help="folder of a CLIP checkpoint, or a hub id (OpenAI's ViT-B/32)")
    add("--out", default=params.FILE, metavar="FILE", help=f"file to write ({params.FILE})")
    add("--force", action="store_true", help="replace the file where it is here already")

    add = command(report, "a page on how good it is and where it fails", "example: python -m mocliplite report")
    add("--out", default="report.html", metavar="FILE", help="page to write (report.html)")

    add = command(export, "all that prediction needs, in one folder", "example: python -m mocliplite export recogniser")
    add("folder", metavar="DIR", help="folder to make")
    add("--with-clip", action="store_true", help="copy the CLIP as well, also where the hub has it")

    add = command(
        cost, "what a clip costs in parameters, operations, bytes and time", "example: python -m mocliplite cost my.mp4"
    )
    add("clips", nargs="*", metavar="CLIP", help="clips to time; without, the first 16 of the data set")
    add("--model", default=_MODELS, metavar="DIR", help="folder of the trained models (models)")

    add = command(demo, "a local page that answers dropped clips", "example: python -m mocliplite demo --port 8000")
    add("--model", default="models", metavar="DIR", help="folder of the trained models (models)")
    add("--port", type=_positive, default=7860, help="port of 127.0.0.1 (7860)")

    command(results, "the last evaluation as a table")

    command(splits, "mean over splits of experiments", "example: dvc exp show --json | python -m mocliplite splits")

    add = command(info, "what a store is", "example: python -m mocliplite info features/motion")
    add("stores", nargs="+", metavar="STORE", help="folders of shards")

    add = command(verify, "read every byte of a store", "example: python -m mocliplite verify features/motion")
    add("stores", nargs="+", metavar="STORE", help="folders of shards, or single HDF5 files")

    add = command(
        export_store,
        "a store as one file of another format",
        "example: python -m mocliplite export-store features/keyframes --to parquet",
    )
    add("store", metavar="STORE", help="a folder of shards")
    add("--to", required=True, choices=("npz", "parquet"))
    add("--out", metavar="FILE", help="file to write (named after the store, in the working folder)")

    command(doctor, "what would spoil the day: links, locks, ignored metrics, CLIP not at hand")
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
