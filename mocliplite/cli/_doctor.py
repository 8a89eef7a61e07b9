"""What would spoil a team's day, looked for before it does. Nothing is changed."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import yaml

from mocliplite import files, params
from mocliplite.cli._clip_source import Finding, find_clip, output_path
from mocliplite.data.clips import read_clips
from mocliplite.errors import UserError

# Bytes of motion store a byte of video, at most: 0.12 on UT-Interaction's MPEG-4 clips, more on still scenes.
_MOTION_SHARE = 0.2
_EMBEDDING = 4 * 1024  # bytes, of the widest CLIP


def findings() -> Iterator[Finding]:
    """Look at the project in the working folder. Raises UserError where there is none."""
    settings = params.load()
    yield from _metrics()
    yield from _cache()
    yield _locks()
    yield find_clip(settings.clip.model, settings.clip.revision)
    yield _decoders()
    yield _room(settings)


def _metrics() -> Iterator[Finding]:
    """Metrics that git ignores are missing in every experiment, and no diff shows them."""
    stages = yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"]
    kept = [
        str(out)
        for stage in stages.values()
        for kind in ("metrics", "plots")
        for out in map(output_path, stage.get(kind, []))
    ]
    ignored = _said("git", "check-ignore", "dvc.lock", "params.yaml", *kept).split()
    for path in ignored:
        yield Finding("BAD", f"{path} is ignored by git; DVC's experiments would lack it: remove it from .gitignore.")
    if not ignored:
        yield Finding("ok", f"git ignores none of {len(kept)} metrics and plots, dvc.lock and params.yaml")


def _cache() -> Iterator[Finding]:
    """Who may write DVC's cache, and whether a checkout links or copies."""
    folder = Path(_said("dvc", "cache", "dir").strip() or ".dvc/cache")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        yield Finding("BAD", f"DVC's cache {folder} may not be written by you; see docs/sharing.md, A shared cache.")
        return
    config = dict(line.split("=", 1) for line in _said("dvc", "config", "--list").splitlines() if "=" in line)
    types = config.get("cache.type", "reflink,copy")
    works = [kind for kind in types.split(",") if kind == "copy" or _links(folder, kind)]
    if not works:
        yield Finding("BAD", f"cache.type is {types}, but none of these links works from {folder} to here; add copy.")
    elif works[0] == "copy":
        yield Finding("note", f"checkouts copy from {folder}; `dvc config --local cache.type symlink,copy` saves room")
    else:
        yield Finding("ok", f"checkouts are {works[0]}s into {folder}, read-only")
    if folder.stat().st_mode & 0o020 and config.get("cache.shared") != "group":
        yield Finding(
            "BAD", f"{folder} is for a group, but cache.shared is not set: `dvc config --local cache.shared group`."
        )


def _links(cache: Path, kind: str) -> bool:
    """Whether a link of this kind can be made from the cache to the working folder."""
    with tempfile.TemporaryDirectory(dir=cache) as there, tempfile.TemporaryDirectory(dir=".") as here:
        source, link = Path(there, "source"), Path(here, "link")
        source.write_bytes(b"x")
        try:
            if kind == "hardlink":
                link.hardlink_to(source)
            elif kind == "symlink":
                link.symlink_to(source.resolve())
            else:
                subprocess.run(["cp", "--reflink=always", source, link], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            return False
        return True


def _locks() -> Finding:
    """Two runs at once must meet one another, also on a network's file system."""
    import filelock

    try:
        with files.locked(Path("features/doctor")), tempfile.TemporaryDirectory(dir=".") as folder:
            path = Path(folder, "lock")
            with filelock.FileLock(path):
                second = filelock.FileLock(path, timeout=0, is_singleton=False)
                try:
                    second.acquire()
                except filelock.Timeout:
                    return Finding("ok", "locks work here")
                second.release()
    except UserError as error:
        return Finding("BAD", str(error))
    return Finding(
        "BAD", "files cannot be locked here: never run two stages at once, and set core.hardlink_lock for DVC."
    )


def _decoders() -> Finding:
    from mocliplite.video import streams

    version, lacking = streams.decoders()
    if lacking:
        return Finding("BAD", f"PyAV's FFmpeg ({version}) lacks {', '.join(lacking)}; install PyAV from its wheel.")
    return Finding("ok", f"PyAV decodes H.264 and MPEG-4 (libavcodec {version})")


def _room(settings: params.Params) -> Finding:
    index = Path("features/clips.csv")
    if not index.is_file():
        return Finding("note", f"{index} is not here yet, so the room that stores need cannot be told")
    clips = read_clips(index)
    motion = _MOTION_SHARE * sum(clip.bytes for clip in clips)
    # Once in the working folder, once in DVC's cache, and the pairs.
    needed = 2 * (motion + len(clips) * _EMBEDDING * (settings.clip.frames + 4))
    free = shutil.disk_usage(".").free
    sentence = (
        f"{free / 1e9:.1f} GB free, stores of {len(clips)} clips and their cache need about {needed / 1e9:.2f} GB"
    )
    return Finding("ok" if free > needed else "BAD", sentence)


def _said(*command: str) -> str:
    """What a command prints, nothing where it fails or is not installed."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return ""
