"""Every frame is the frame a player shows: clips of many kinds, remuxed and damaged at random, against a plain decode.

For each clip `pictures(path, [i])` for every i has to equal the i-th picture of a sequential decode by PyAV alone, and
vectors and keyframes have to count the same frames. Prints what differs and a table; the last line is JSON. Exits 1
where anything differs.
"""

import argparse
import json
import struct
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.bitstream import BitStreamFilterContext

from benchmarks.scenes import restored_priority, texture
from mocliplite.errors import UserError
from mocliplite.params import Reencode
from mocliplite.video import frames as ours
from mocliplite.video import vectors

SIZE = 64, 96  # height, width
AGAIN = Reencode(codec="mpeg4", gop=12, bframes=0, size=None)
# Encoder, containers, options of which one is drawn.
_X264 = ({}, {"x264-params": "open-gop=1:scenecut=0"}, {"x264-params": "intra-refresh=1"}, {"flags": "+ildct+ilme"})
CODECS: dict[str, tuple[tuple[str, ...], tuple[dict[str, str], ...]]] = {
    "mpeg4": (
        ("avi", "mp4", "mkv", "mov"),
        ({}, {"flags": "+mv4"}, {"flags": "+ildct+ilme"}, {"flags": "+cgop", "sc_threshold": "1000000000"}),
    ),
    "libx264": (("mp4", "mov", "mkv", "ts", "avi"), (*_X264, {"x264-params": "b-pyramid=normal:slices=3"})),
    "libx265": (
        ("mp4", "mkv", "ts"),
        ({"x265-params": "log-level=none"}, {"x265-params": "log-level=none:open-gop=0"}),
    ),
    "mpeg2video": (
        ("ts", "vob", "mkv"),
        ({}, {"flags": "+cgop", "sc_threshold": "1000000000"}, {"flags": "+ildct+ilme"}),
    ),
    "libvpx": (("webm", "mkv"), ({"auto-alt-ref": "1", "lag-in-frames": "16"}, {})),
    "libvpx-vp9": (("webm", "mkv", "mp4"), ({"auto-alt-ref": "1", "lag-in-frames": "16", "cpu-used": "8"},)),
    "libsvtav1": (("mkv", "mp4", "webm"), ({"preset": "12", "svtav1-params": "lp=1"},)),
    "mjpeg": (("avi", "mov", "mkv"), ({},)),
}
WAYS = ("plain", "edit", "tail", "two_edits", "cut", "short", "join", "jump", "drop", "pad", "noise", "truncate")
_EDITED = ("edit", "tail", "two_edits")


@dataclass(frozen=True)
class Made:
    """A clip that was made, and how."""

    path: Path
    way: str
    what: str


def encoded(path: Path, codec: str, gop: int, b_frames: int, count: int, start: int, options: dict[str, str]) -> Path:
    """A Matroska file of a moving texture, whose packets the clips are made of."""
    height, width = SIZE
    canvas = texture(height + 200, width + 200)
    with restored_priority(), av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height = width, height
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        context = stream.codec_context
        context.gop_size, context.max_b_frames, context.thread_count = gop, b_frames, 1
        for index in range(count):
            at = 2 * (start + index)
            picture = np.ascontiguousarray(canvas[at : at + height, at : at + width])
            frame = av.VideoFrame.from_ndarray(picture, format="gray").reformat(format=stream.pix_fmt)
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def mux(path: Path, parts: list[tuple[Path, slice, int]], sound: bool) -> None:
    """Write some packets of each part, later by so many frames; with sound, a stream of it comes first."""
    options = {"avoid_negative_ts": "disabled"} if path.suffix in (".mp4", ".mov") else {}
    with av.open(str(parts[0][0])) as first, av.open(str(path), "w", options=options) as container:
        other = _silence(container, path.suffix) if sound else None
        stream = container.add_stream_from_template(first.streams.video[0], opaque=True)
        container.start_encoding()
        if other is not None:
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 4800), dtype=np.float32), format="fltp", layout="mono")
            frame.sample_rate = 48000
            resampler = av.AudioResampler(other.format.name, "mono", 48000, other.frame_size or 1152)
            for piece in resampler.resample(frame):
                container.mux(other.encode(piece))
        for source, chosen, late in parts:
            with av.open(str(source)) as old:
                packets = [packet for packet in old.demux(video=0) if packet.size]
                if path.suffix == ".avi" and old.streams.video[0].codec_context.name == "h264":
                    # AVI wants H.264 as a stream of bytes, and its muxer does not see to that.
                    annex_b = BitStreamFilterContext("h264_mp4toannexb", old.streams.video[0])
                    packets = [after for packet in packets for after in annex_b.filter(packet)]
                untold = any(packet.dts is None for packet in packets)
                for number, packet in list(enumerate(packets))[chosen]:
                    step = 1 / (25 * packet.time_base)
                    packet.pts += round(late * step)
                    # Matroska stores no time of decoding.
                    packet.dts = round((number + late - 3) * step) if untold else packet.dts + round(late * step)
                    packet.stream = stream
                    container.mux(packet)
        if other is not None:
            container.mux(other.encode(None))


def _silence(container: av.container.OutputContainer, ending: str) -> av.AudioStream:
    codec = {".webm": "libopus", ".vob": "mp2"}.get(ending, "aac")
    return container.add_stream(codec, rate=48000, layout="mono")


def edited(content: bytes, edits: list[tuple[int, int]]) -> bytes:
    """A copy of an MP4 file, its moov last, whose video track has the edits (first frame, frames)."""
    moov = content.rindex(b"moov") - 4
    tracks, at = [], moov + 8
    while at < len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        tracks.append(content[at : at + size])
        at += size
    movie = next(part for part in tracks if part[4:8] == b"mvhd")
    scale = int.from_bytes(movie[20:24], "big")
    out = []
    for part in tracks:
        if part[4:8] == b"trak" and b"vide" in part:
            part = _with_edits(part, edits, scale)
        out.append(part)
    body = b"".join(out)
    return content[:moov] + struct.pack(">I", len(body) + 8) + b"moov" + body


def _with_edits(track: bytes, edits: list[tuple[int, int]], scale: int) -> bytes:
    media = track.index(b"mdhd") + 4
    rate = int.from_bytes(track[media + 12 : media + 16], "big")
    offset = 0
    if b"elst" in track:  # what the muxer skips because of B-frames
        old = track.index(b"elst") + 8
        offset = int.from_bytes(track[old + 8 : old + 12], "big", signed=True)
        begin = track.index(b"edts") - 4
        size = int.from_bytes(track[begin : begin + 4], "big")
        track = track[:begin] + track[begin + size :]
    rows = b"".join(
        struct.pack(">IiI", count * scale // 25, max(0, offset) + first * rate // 25, 1 << 16) for first, count in edits
    )
    elst = struct.pack(">I4sII", 16 + len(rows), b"elst", 0, len(edits)) + rows
    edts = struct.pack(">I4s", 8 + len(elst), b"edts") + elst
    head = track.index(b"mdia") - 4
    track = track[:head] + edts + track[head:]
    return struct.pack(">I", len(track)) + track[4:]


def make(folder: Path, number: int, rng: np.random.Generator) -> Made:
    """One clip, by the random numbers alone."""
    codec = str(rng.choice(list(CODECS)))
    containers, choices = CODECS[codec]
    ending = str(rng.choice(containers))
    options = choices[int(rng.integers(len(choices)))]
    gop = int(rng.choice([4, 12, 250]))
    b_frames = int(rng.choice([0, 2, 3])) if codec in ("mpeg4", "libx264", "libx265", "mpeg2video") else 0
    if codec == "mpeg4" and "ildct" in str(options):
        b_frames = 0
    not_here = (() if ending in ("mp4", "mov") else _EDITED) + (() if ending in ("ts", "vob") else ("jump",))
    # What libavcodec shows of a damaged JPEG is what was in memory before.
    not_here += ("noise", "truncate") if codec == "mjpeg" else ()
    ways = [way for way in WAYS if way not in not_here]
    way, count = str(rng.choice(ways)), int(rng.integers(14, 40))
    source = encoded(folder / "source.mkv", codec, gop, b_frames, count, 0, options)
    where, parts = int(rng.integers(1, max(2, count - 6))), [(source, slice(None), 0)]
    if way == "cut":
        parts = [(source, slice(where, None), 0)]
    elif way == "short":
        parts = [(source, slice(where + 5), 0)]
    elif way == "drop":
        parts = [(source, slice(where), 0), (source, slice(where + int(rng.integers(1, 4)), None), 0)]
    elif way == "join":
        other = encoded(folder / "other.mkv", codec, gop, b_frames, 12, 40, options)
        parts.append((other, slice(None), count + 4))
    path = folder / f"{number:04d}.{ending}"
    mux(path, parts, sound=bool(rng.random() < 0.3))
    content = path.read_bytes()
    if way == "edit":
        content = edited(content, [(where, count - where)])
    elif way == "tail":
        content = edited(content, [(0, where)])
    elif way == "two_edits":
        content = edited(content, [(where // 2, 4), (where, count - where)])
    elif way == "jump":  # times start again, as where recordings are copied one after the other
        content += content
    elif way == "pad":
        content += bytes(int(rng.integers(1, 5000)))
    elif way == "noise":
        start = int(rng.integers(len(content) // 4, len(content) * 3 // 4))
        content = content[:start] + rng.bytes(int(rng.integers(1, 60))) + content[start + 60 :]
    elif way == "truncate":
        content = content[: int(len(content) * rng.uniform(0.4, 0.99))]
    path.write_bytes(content)
    return Made(path, way, f"{codec} {ending} gop {gop} b {b_frames} {options}")


def decoded(path: Path) -> list[np.ndarray]:
    """What a sequential decode of the only video stream shows, by PyAV alone; packets that fail give nothing."""
    shown = []
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "NONE"
            for packet in container.demux(stream):
                if not packet.size and packet.dts is not None:
                    continue
                try:
                    shown += [frame.to_ndarray(format="rgb24") for frame in packet.decode()]
                except av.FFmpegError:
                    continue
    except (av.FFmpegError, IndexError):
        pass
    return shown


def difference(path: Path) -> str:
    """How our reading of a clip differs from a plain decode; empty where it does not."""
    wanted = decoded(path)
    if len({picture.shape for picture in wanted}) > 1:
        return ""  # a clip that changes its size is refused
    try:
        read = vectors.read_vectors(path)
        again = vectors.read_vectors(path, AGAIN)
        taken = ours.take(path, lambda kinds: [len(kinds) // 2])
    except UserError as error:
        return f"refused: {error}" if len(wanted) > 1 else ""
    counts = len(read.kinds), len(again.kinds), len(taken.kinds)
    if set(counts) != {len(wanted)}:
        return f"frames: {len(wanted)}, vectors {counts[0]}, encoded again {counts[1]}, keyframes {counts[2]}"
    (middle,) = taken.indices
    if middle not in taken.pictures or not np.array_equal(taken.pictures[middle].image, wanted[middle]):
        return f"keyframe {middle} of {len(wanted)} is another"
    for index in range(len(wanted) + 1):
        found = ours.pictures(path, [index])
        if index == len(wanted) and found:
            return f"a picture {index} of {len(wanted)}"
        if index < len(wanted) and (index not in found or not np.array_equal(found[index], wanted[index])):
            return f"picture {index} of {len(wanted)} is {'another' if index in found else 'missing'}"
    return ""


def differences(folder: Path, clips: int, seed: int) -> Iterator[tuple[Made, str]]:
    """Each clip and how it differs."""
    for number in range(clips):
        made = make(folder, number, np.random.default_rng([seed, number]))
        yield made, difference(made.path)


def main() -> None:
    """Make clips, compare, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    av.logging.set_level(None)
    tried, bad = Counter(), Counter()
    with tempfile.TemporaryDirectory() as folder:
        for made, why in differences(Path(folder), given.clips, given.seed):
            tried[made.way] += 1
            if why:
                bad[made.way] += 1
                print(f"{made.path.name} {made.way}: {made.what}: {why}", flush=True)
            made.path.unlink()
    for way in WAYS:
        print(f"{way:10} {tried[way]:4} clips, {bad[way]} differ")
    print(json.dumps({"clips": given.clips, "differ": bad.total()}))
    if bad:
        sys.exit(1)


if __name__ == "__main__":
    main()
