"""`search`: clips by text, or by similarity to a clip."""

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from mocliplite.cli._outputs import check_outputs
from mocliplite.cli._shared import check_text, positive_int, refuse_missing_folder
from mocliplite.errors import UserError

if TYPE_CHECKING:
    from mocliplite.data.clips import Clip
    from mocliplite.fusion.search import Hit
    from mocliplite.params import Params

HELP = "find clips by text, or by similarity to a clip"
EXAMPLE = 'example: python -m mocliplite search "somebody shakes hands" --top 5'
USES_MODELS = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add = parser.add_argument
    add("text", nargs="?", metavar="TEXT", help="what the keyframe should show")
    add("--like", metavar="CLIP", help="id or path of a clip of the data set")
    add("--top", type=positive_int, default=10, help="number of clips to print (10)")
    add("--html", metavar="FILE", help="also write a page with the keyframes")


def run(given: argparse.Namespace) -> None:
    """Print the clips most similar to a text or to a clip; optionally write a page with their keyframes."""
    from mocliplite import params
    from mocliplite.data.clips import read_clips
    from mocliplite.fusion import search
    from mocliplite.store import stores

    if (given.text is None) == (given.like is None):
        raise UserError("give either a text to search for, or --like with a clip.")
    if given.text is not None:
        check_text(given.text, "TEXT")
    if given.html:
        refuse_missing_folder(given.html, "--html")
    check_outputs({"--html": given.html})
    settings = params.load()
    clips = {clip.id: clip for clip in read_clips("features/clips.csv")}
    keyframes = stores.open_store("features/keyframes")
    if given.like is None:
        pickled = settings.encoder.pickled_weights
        hits = search.by_text(given.text, keyframes, given.top, settings.compute, pickled)
        title = f"Clips for {given.text!r}"
    else:
        query = _clip_id(given.like, settings.dataset.root, clips)
        motion = stores.open_store("features/motion_embeddings")
        title, hits = f"Clips similar to {query}", search.by_similarity(query, keyframes, motion, given.top)
    found = [(hit, clips[hit.id], f"{settings.dataset.root}/{clips[hit.id].path}") for hit in hits if hit.id in clips]
    for hit, clip, path in found:
        print(f"{hit.score:6.3f}  {clip.label}  {hit.id}  {path}")
    if given.html:
        _write_page(given.html, title, found, settings)
        print(f"wrote {given.html}")


def _write_page(out: str, title: str, found: Sequence[tuple["Hit", "Clip", str]], settings: "Params") -> None:
    """Write a page with the clips that were found, their paths and their keyframes."""
    from mocliplite.remote.copies import local_copy
    from mocliplite.report import html
    from mocliplite.runtime.crash_safe import call_crash_safe
    from mocliplite.spans import Span
    from mocliplite.video.keyframes import read_keyframes
    from mocliplite.video.streams import Limits

    def image(path: str, span: Span) -> str:
        more = 1, settings.encoder.pick, Limits.of(settings.compute), span
        with local_copy(settings.dataset.root, path) as file:
            return html.picture(call_crash_safe(read_keyframes, settings.compute, str(file), *more)[0].image)

    rows = [
        {**asdict(hit), "label": clip.label, "path": path, "image": image(clip.path, clip.span)}
        for hit, clip, path in found
    ]
    html.write(out, "search.html", title=title, hits=rows)


def _clip_id(name: str, root: str, clips: Mapping[str, "Clip"]) -> str:
    """Return the id of a clip that is given by its id, its path below root, or any path that leads to it."""
    from mocliplite.data.names import normal

    plain, there = normal(name), os.path.realpath(name)
    found = [clip.id for clip in clips.values() if plain == normal(clip.id)]
    found = found or [clip.id for clip in clips.values() if plain in map(normal, (clip.path, f"{root}/{clip.path}"))]
    found = found or [clip.id for clip in clips.values() if os.path.realpath(f"{root}/{clip.path}") == there]
    if len(found) > 1:
        raise UserError(f"{name} has {len(found)} segments, such as {found[0]}; give the id of one of them.")
    if found:
        return found[0]
    raise UserError(f"{name} is not a clip of features/clips.csv; give the id or the path of a clip in that file.")
