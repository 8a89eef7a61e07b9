"""Damaged videos: of their bytes, of the parts of their containers, and of the headers of MPEG-4 and H.264."""

import tempfile
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.fuzz import bad_files
from benchmarks.fuzz.odd import TEXTS, edited, number_bytes, pick
from benchmarks.fuzz.trees import edited_tree, with_edit_list
from benchmarks.scenes import SCENES, encode

# Codec, B-frames and ending of the clips that are damaged. All have motion vectors, except those of VP9.
_RENDERED = (
    *(("mpeg4", 0, "avi"), ("mpeg4", 2, "avi"), ("mpeg4", 0, "mp4"), ("mpeg4", 0, "mkv"), ("libx264", 2, "mp4")),
    *(("libx264", 0, "mkv"), ("libx264", 2, "ts"), ("libx264", 0, "avi"), ("libx264", 2, "mov")),
    *(("mpeg2video", 2, "mpg"), ("libvpx-vp9", 0, "webm")),
)
_ENDINGS = ("avi", "mp4", "mkv", "ts", "wmv", "flv", "ogv", "mxf", "dv", "3gp")
_TREES = {"mp4": "mp4", "mov": "mp4", "avi": "avi", "mkv": "mkv", "webm": "mkv"}  # format by ending
_PLAYLISTS = (
    b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
    b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n",
    b"ffconcat version 1.0\nfile /etc/passwd\n",
    b"v=0\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    b'<?xml version="1.0"?><MPD><Period><BaseURL>http://127.0.0.1:9/</BaseURL></Period></MPD>',
)
Clip = tuple[str, bytes]  # ending, such as avi, and content


@cache
def rendered() -> list[Clip]:
    """Return clips of 13 frames of each kind; the same in every run."""
    pictures = SCENES["rotation"]().pictures[:13]
    with tempfile.TemporaryDirectory() as folder:
        return [
            (ending, Path(encode(Path(folder, f"clip.{ending}"), pictures, codec, 6, b_frames)).read_bytes())
            for codec, b_frames, ending in _RENDERED
        ]


@cache
def footage(folder: str) -> list[Clip]:
    """Return the clips in a folder of real videos, and those of `rendered`."""
    paths = sorted(Path(folder).iterdir()) if folder else []
    return [*rendered(), *((path.suffix[1:], path.read_bytes()) for path in paths if path.suffix != ".md")]


def edited_clip(clips: list[Clip], rng: np.random.Generator) -> tuple[str, Clip]:
    """Return the name of an edit and an edited clip: mostly a rendered one, because real ones take longer."""
    ending, content = pick(rng, clips if rng.random() < 0.2 else rendered())  # type: ignore[misc]
    name = str(pick(rng, ("bytes", "part", "part", "part", "header", "header", "header", "splice", "file")))
    if name == "part" and ending in _TREES:
        if _TREES[ending] == "mp4" and rng.random() < 0.15:
            return "part: edit list", (ending, with_edit_list(content, rng))
        for _ in range(int(pick(rng, (1, 1, 1, 3)))):  # type: ignore[call-overload]
            edit, content = edited_tree(content, _TREES[ending], rng)
        return f"part: {edit}", (ending, content)
    if name == "header":
        edit, content = edited_codec_header(content, rng)
        return f"header: {edit}", (ending, content)
    if name == "splice":
        _, other = pick(rng, clips)  # type: ignore[misc]
        begin, end = int(rng.integers(len(content) + 1)), int(rng.integers(len(other) + 1))
        return "splice", (ending, content[:begin] + other[end:])
    if name == "file":
        return _other_file(ending, content, rng)
    edit, content = edited(content, rng, spared=4096)
    return f"bytes: {edit}", (ending, content)


def _other_file(ending: str, content: bytes, rng: np.random.Generator) -> tuple[str, Clip]:
    """Return a file that is no clip, or a clip under another ending."""
    if rng.random() < 0.2:
        return "file: playlist", (ending, pick(rng, _PLAYLISTS))  # type: ignore[return-value]
    if rng.random() < 0.3:
        return "file: ending", (str(pick(rng, _ENDINGS)), content)
    kind = str(pick(rng, ("empty", "text", "noise", "zeros", "cut", "picture", "sound")))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file")
        bad_files.KINDS[kind](path, rng, content)
        return f"file: {kind}", (ending, path.read_bytes())


def edited_codec_header(content: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    """Return a clip of which one unit of the codec (VOL, VOP, SPS, PPS, slice and others) is changed, or is moved."""
    units = _start_codes(content) or _length_prefixed(content)
    if not units:
        return edited(content, rng)
    # Sequence and picture headers are few and come first.
    at = units[int(rng.integers(min(len(units), 4) if rng.random() < 0.6 else len(units)))]
    choice = rng.random()
    changed = bytearray(content)
    if choice < 0.15:
        changed[at] = int(rng.integers(256))
        return "kind of unit", bytes(changed)
    if choice < 0.25:
        other = units[int(rng.integers(len(units)))]
        length = int(rng.integers(1, 64))
        changed[at : at + length] = content[other : other + length]
        return "unit over unit", bytes(changed[: len(content)])
    start = min(at + 1 + int(rng.exponential(6)), len(content) - 1)
    if choice < 0.45:
        found = number_bytes(rng)
        changed[start : start + len(found)] = found[: len(content) - start]
        return "number", bytes(changed)
    for _ in range(1 + int(rng.exponential(2))):
        place = min(start + int(rng.exponential(4)), len(content) - 1)
        changed[place] ^= 1 << int(rng.integers(8))
    return "bits", bytes(changed)


def _start_codes(content: bytes) -> list[int]:
    """Return where the units of MPEG-1, 2, 4 and of H.264 in Annex B begin: after 00 00 01."""
    found, start = [], content.find(b"\0\0\1")
    while 0 <= start < len(content) - 4:
        found.append(start + 3)
        start = content.find(b"\0\0\1", start + 3)
    return found if len(found) > 2 else []


def _length_prefixed(content: bytes) -> list[int]:
    """Return where the units of H.264 in MP4 begin: the parameter sets in avcC, then the units of mdat."""
    record, found = content.find(b"avcC"), []
    if record >= 0:
        found += [record + 5, record + 12]  # profile and level, and the first set
    start = content.find(b"mdat") + 4
    while 4 <= start < len(content) - 8:
        length = int.from_bytes(content[start : start + 4], "big")
        if not 0 < length < len(content) - start:
            break
        found.append(start + 4)
        start += 4 + length
    return found


def odd_name(rng: np.random.Generator, ending: str) -> str:
    """Return a name for a clip: mostly a plain one."""
    if rng.random() < 0.85:
        return f"clip.{ending}"
    text = str(pick(rng, TEXTS)).replace("/", "_").replace("\0", "")[:100]
    return f"{text}clip.{ending}" if rng.random() < 0.5 else f"clip{text}.{ending}"


def write_clip(folder: Path, rng: np.random.Generator, clips: list[Clip]) -> str:
    """Write an edited clip to a folder; return the name of the edit."""
    name, (ending, content) = edited_clip(clips, rng)
    folder.mkdir(parents=True, exist_ok=True)
    Path(folder, odd_name(rng, ending)).write_bytes(content)
    return name
