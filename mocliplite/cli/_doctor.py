"""Checks of the project and the machine: DVC cache, locks, git, encoder, decoders, disk space. Nothing is changed."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mocliplite import locks, params, versions
from mocliplite.cli._clip_source import Finding, find_clip, outputs_of, read_stages
from mocliplite.cli._workspace import stdout, workspace_findings
from mocliplite.data.clips import read_clips
from mocliplite.data.folders import find_videos
from mocliplite.errors import UserError
from mocliplite.remote.connection import answers

# Bytes of motion store per byte of video, an upper estimate: 0.12 for the MPEG-4 clips of UT-Interaction, more for
# static scenes.
_MOTION_BYTES_PER_VIDEO_BYTE = 0.2
_EMBEDDING_BYTES = 4 * 1024  # of the widest CLIP


def findings() -> Iterator[Finding]:
    """Yield the findings on the project in the working folder. Raises UserError if there is no project."""
    settings = params.load()
    if problem := versions.problem():
        yield Finding("BAD", problem)
    yield from workspace_findings()
    yield from _check_git_ignore()
    yield from _check_cache()
    yield _check_locks()
    yield _check_encoder(settings.encoder)
    yield _check_decoders()
    yield from _check_clips(settings.dataset)
    yield _check_disk_space(settings)


def _check_encoder(settings: params.Encoder) -> Finding:
    if settings.features == params.NO_PATH:
        return find_clip(settings.model, settings.revision, settings.pickled_weights)
    if not Path(settings.features).exists():
        return Finding("BAD", f"encoder.features is {settings.features}, which does not exist; correct the path.")
    return Finding("ok", f"keyframe embeddings are read from {settings.features}")


def _check_git_ignore() -> Iterator[Finding]:
    """Check that git tracks metrics and plots. Ignored ones are missing from DVC experiments and from every diff."""
    stages = read_stages(Path("dvc.yaml"))
    tracked = [out for stage in stages for out in outputs_of(stage, ("metrics", "plots"))]
    ignored = stdout("git", "check-ignore", "dvc.lock", "params.yaml", *tracked).split()
    for path in ignored:
        yield Finding(
            "BAD", f"{path} is ignored by git and would be missing from DVC experiments; remove it from .gitignore."
        )
    if not ignored:
        yield Finding("ok", f"git ignores none of {len(tracked)} metrics and plots, dvc.lock and params.yaml")


def _check_cache() -> Iterator[Finding]:
    """Check that the DVC cache is writable, and whether a checkout links or copies."""
    folder = Path(stdout("dvc", "cache", "dir").strip() or ".dvc/cache")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        yield Finding("BAD", f"you cannot write to the DVC cache {folder}; see docs/sharing.md, A shared cache.")
        return
    config = dict(line.split("=", 1) for line in stdout("dvc", "config", "--list").splitlines() if "=" in line)
    types = config.get("cache.type", "reflink,copy")
    usable = [kind for kind in types.split(",") if kind == "copy" or _can_link(folder, kind)]
    if not usable:
        yield Finding("BAD", f"cache.type is {types}, but no link of these types into {folder} works; add copy.")
    elif usable[0] == "copy":
        yield Finding(
            "note", f"checkouts copy from {folder}; `dvc config --local cache.type symlink,copy` saves disk space"
        )
    else:
        yield Finding("ok", f"checkouts are read-only {usable[0]}s into {folder}")
    if folder.stat().st_mode & 0o020 and config.get("cache.shared") != "group":
        yield Finding(
            "BAD",
            f"{folder} is for a group, but cache.shared is not set; run `dvc config --local cache.shared group`.",
        )


def _can_link(cache: Path, kind: str) -> bool:
    """Return whether a link of this type from the working folder into the cache can be created."""
    with tempfile.TemporaryDirectory(dir=cache) as in_cache, tempfile.TemporaryDirectory(dir=".") as in_project:
        source, link = Path(in_cache, "source"), Path(in_project, "link")
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


def _check_locks() -> Finding:
    """Check that a second lock on a file fails. File locks do not work on every network file system."""
    import filelock

    try:
        with locks.locked(Path("features/doctor")), tempfile.TemporaryDirectory(dir=".") as folder:
            path = Path(folder, "lock")
            with filelock.FileLock(path):
                second = filelock.FileLock(path, timeout=0, is_singleton=False)
                try:
                    second.acquire()
                except filelock.Timeout:
                    return Finding("ok", "file locks work")
                second.release()
    except UserError as error:
        return Finding("BAD", str(error))
    return Finding(
        "BAD", "file locks do not work; never run two stages at once, and run `dvc config core.hardlink_lock true`."
    )


def _check_clips(settings: params.Dataset) -> Iterator[Finding]:
    """Look for the manifest, or else for links to folders: DVC tracks the link, not what the folder contains."""
    root = settings.root
    if settings.has_manifest:
        if not Path(settings.files).is_file():
            wanted = "run `python -m mocliplite manifest`"
            yield Finding("BAD", f"dataset.files is {settings.files}, which does not exist; {wanted}.")
        if params.is_address(root):
            yield _check_address(root)
    elif Path(root).is_dir():
        linked: list[str] = []
        find_videos(Path(root), linked)
        # DVC follows a link that is dataset.root itself.
        linked = [folder for folder in linked if Path(folder) != Path(root)]
        if linked:
            shown = f"folders that are links: {len(linked)}, such as {linked[0]}"
            advice = "DVC does not see changes behind a link; run `dvc repro --force index` after a change"
            yield Finding("note", f"{shown}; {advice}")


def _check_address(root: str) -> Finding:
    try:
        if answers(root):
            return Finding("ok", f"{root} can be read")
    except UserError as error:
        return Finding("BAD", str(error))
    return Finding("BAD", f"{root} cannot be read; check the network and the credentials (docs/own-clips.md).")


def _check_decoders() -> Finding:
    from mocliplite.video import streams

    version, missing = streams.decoders()
    if missing:
        sentence = (
            f"the FFmpeg of PyAV ({version}) cannot decode {', '.join(missing)}; install the PyAV wheel from PyPI."
        )
        return Finding("BAD", sentence)
    return Finding("ok", f"PyAV decodes H.264 and MPEG-4 (libavcodec {version})")


def _check_disk_space(settings: params.Params) -> Finding:
    index = Path("features/clips.csv")
    if not index.is_file():
        return Finding(
            "note", f"{index} does not exist yet, so the disk space for the stores is unknown; run `dvc repro index`"
        )
    clips = read_clips(index)
    motion = _MOTION_BYTES_PER_VIDEO_BYTE * sum({clip.path: clip.bytes for clip in clips}.values())
    # Twice: in the working folder and in the DVC cache. Besides keyframes, 4 embeddings for motion views and pairs.
    needed = 2 * (motion + len(clips) * _EMBEDDING_BYTES * (settings.encoder.frames + 4))
    free = shutil.disk_usage(".").free
    sentence = (
        f"{free / 1e9:.1f} GB free; the stores of {len(clips)} clips and their cache need about {needed / 1e9:.2f} GB"
    )
    return Finding("ok" if free > needed else "BAD", sentence)
