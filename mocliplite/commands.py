"""What each command of the command line does, one function a command, named after it."""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mocliplite import averaging, dataset, params
from mocliplite.errors import UserError
from mocliplite.files import read_json
from mocliplite.progress import progress
from mocliplite.results import table

if TYPE_CHECKING:
    from mocliplite.predict import Answer


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
