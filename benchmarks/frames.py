"""Compare the frames of randomly generated clips with a sequential decode by PyAV alone.

The clips differ in codec, container and GOP, and are remuxed or damaged. For each clip, `pictures(path, [i])` must
equal the i-th decoded picture for every i, and vectors and keyframes must have the same number of frames. Prints the
differences and a table; the last line is JSON. The exit status is 1 if there is a difference.
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

from benchmarks.scenes import SAME_BYTES, restored_priority, texture
from mocliplite.errors import UserError
from mocliplite.params import Reencode
from mocliplite.video import frames, vectors

SIZE = 64, 96  # height, width
REENCODE = Reencode(codec="mpeg4", gop=12, bframes=0, size=None)
# By encoder: containers, and encoder options. One of each is chosen at random.
_X264 = tuple(
    {"x264-params": f"{chosen}{SAME_BYTES}", **flags}
    for chosen, flags in (
        ("", {}),
        ("open-gop=1:scenecut=0:", {}),
        ("intra-refresh=1:", {}),
        ("", {"flags": "+ildct+ilme"}),
        ("b-pyramid=normal:slices=3:", {}),
    )
)
CODECS: dict[str, tuple[tuple[str, ...], tuple[dict[str, str], ...]]] = {
    "mpeg4": (
        ("avi", "mp4", "mkv", "mov"),
        ({}, {"flags": "+mv4"}, {"flags": "+ildct+ilme"}, {"flags": "+cgop", "sc_threshold": "1000000000"}),
    ),
    "libx264": (("mp4", "mov", "mkv", "ts", "avi"), _X264),
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
MANIPULATIONS = (
    "plain",
    "edit",
    "tail",
    "two_edits",
    "cut",
    "short",
    "join",
    "jump",
    "drop",
    "pad",
    "noise",
    "truncate",
)
_EDITED = ("edit", "tail", "two_edits")


@dataclass(frozen=True)
class GeneratedClip:
    """A generated clip."""

    path: Path
    manipulation: str
    description: str


def encoded(path: Path, codec: str, gop: int, b_frames: int, count: int, start: int, options: dict[str, str]) -> Path:
    """Write a Matroska file of a moving texture, the source of packets for clips."""
    height, width = SIZE
    canvas = texture(height + 200, width + 200)
    with restored_priority(), av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height = width, height
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        context = stream.codec_context
        context.gop_size, context.max_b_frames, context.thread_count = gop, b_frames, 1
        for index in range(count):
            offset = 2 * (start + index)
            picture = np.ascontiguousarray(canvas[offset : offset + height, offset : offset + width])
            frame = av.VideoFrame.from_ndarray(picture, format="gray").reformat(format=stream.pix_fmt)
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def mux(path: Path, parts: list[tuple[Path, slice, int]], sound: bool) -> None:
    """Write a clip from parts, (source, packets, delay in frames) each; with sound, the first stream is audio."""
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
        for source, chosen, delay in parts:
            with av.open(str(source)) as old:
                packets = [packet for packet in old.demux(video=0) if packet.size]
                if path.suffix == ".avi" and old.streams.video[0].codec_context.name == "h264":
                    # AVI needs H.264 as a byte stream, and its muxer does not convert it.
                    annex_b = BitStreamFilterContext("h264_mp4toannexb", old.streams.video[0])
                    packets = [after for packet in packets for after in annex_b.filter(packet)]
                no_dts = any(packet.dts is None for packet in packets)
                for number, packet in list(enumerate(packets))[chosen]:
                    step = 1 / (25 * packet.time_base)
                    packet.pts += round(delay * step)
                    # Matroska does not store decoding timestamps.
                    packet.dts = round((number + delay - 3) * step) if no_dts else packet.dts + round(delay * step)
                    packet.stream = stream
                    container.mux(packet)
        if other is not None:
            container.mux(other.encode(None))


def _silence(container: av.container.OutputContainer, ending: str) -> av.AudioStream:
    codec = {".webm": "libopus", ".vob": "mp2"}.get(ending, "aac")
    return container.add_stream(codec, rate=48000, layout="mono")


def edited(content: bytes, edits: list[tuple[int, int]]) -> bytes:
    """Return an MP4 file that ends with moov with an edit list for its video track: (first frame, frames) each."""
    moov = content.rindex(b"moov") - 4
    tracks, offset = [], moov + 8
    while offset < len(content):
        size = int.from_bytes(content[offset : offset + 4], "big")
        tracks.append(content[offset : offset + size])
        offset += size
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
    if b"elst" in track:  # written by the muxer because of B-frames
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


def make(folder: Path, number: int, rng: np.random.Generator) -> GeneratedClip:
    """Generate a clip at random. The result depends only on the state of `rng`."""
    codec = str(rng.choice(list(CODECS)))
    containers, choices = CODECS[codec]
    ending = str(rng.choice(containers))
    options = choices[int(rng.integers(len(choices)))]
    gop = int(rng.choice([4, 12, 250]))
    b_frames = int(rng.choice([0, 2, 3])) if codec in ("mpeg4", "libx264", "libx265", "mpeg2video") else 0
    if codec == "mpeg4" and "ildct" in str(options):
        b_frames = 0
    excluded = (() if ending in ("mp4", "mov") else _EDITED) + (() if ending in ("ts", "vob") else ("jump",))
    # For a damaged JPEG, the output of libavcodec depends on previous contents of its memory.
    excluded += ("noise", "truncate") if codec == "mjpeg" else ()
    manipulations = [manipulation for manipulation in MANIPULATIONS if manipulation not in excluded]
    manipulation, count = str(rng.choice(manipulations)), int(rng.integers(14, 40))
    source = encoded(folder / "source.mkv", codec, gop, b_frames, count, 0, options)
    cut, parts = int(rng.integers(1, max(2, count - 6))), [(source, slice(None), 0)]
    if manipulation == "cut":
        parts = [(source, slice(cut, None), 0)]
    elif manipulation == "short":
        parts = [(source, slice(cut + 5), 0)]
    elif manipulation == "drop":
        parts = [(source, slice(cut), 0), (source, slice(cut + int(rng.integers(1, 4)), None), 0)]
    elif manipulation == "join":
        other = encoded(folder / "other.mkv", codec, gop, b_frames, 12, 40, options)
        parts.append((other, slice(None), count + 4))
    path = folder / f"{number:04d}.{ending}"
    mux(path, parts, sound=bool(rng.random() < 0.3))
    path.write_bytes(_manipulated(path.read_bytes(), manipulation, cut, count, rng))
    return GeneratedClip(path, manipulation, f"{codec} {ending} gop {gop} b {b_frames} {options}")


def _manipulated(content: bytes, manipulation: str, cut: int, count: int, rng: np.random.Generator) -> bytes:
    if manipulation == "edit":
        content = edited(content, [(cut, count - cut)])
    elif manipulation == "tail":
        content = edited(content, [(0, cut)])
    elif manipulation == "two_edits":
        content = edited(content, [(cut // 2, 4), (cut, count - cut)])
    elif manipulation == "jump":  # timestamps start again, as in concatenated recordings
        content += content
    elif manipulation == "pad":
        content += bytes(int(rng.integers(1, 5000)))
    elif manipulation == "noise":
        start = int(rng.integers(len(content) // 4, len(content) * 3 // 4))
        content = content[:start] + rng.bytes(int(rng.integers(1, 60))) + content[start + 60 :]
    elif manipulation == "truncate":
        content = content[: int(len(content) * rng.uniform(0.4, 0.99))]
    return content


def decoded(path: Path) -> list[np.ndarray]:
    """Return the pictures of a sequential decode of the first video stream by PyAV alone, without failed packets."""
    images = []
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "NONE"
            for packet in container.demux(stream):
                if not packet.size and packet.dts is not None:
                    continue
                try:
                    images += [frame.to_ndarray(format="rgb24") for frame in packet.decode()]
                except av.FFmpegError:
                    continue
    except (av.FFmpegError, IndexError):
        pass
    return images


def difference(path: Path) -> str:
    """Return how the library differs from a sequential decode for a clip, empty if it does not."""
    expected = decoded(path)
    if len({picture.shape for picture in expected}) > 1:
        return ""  # a clip with several sizes is refused
    try:
        read = vectors.read_frames(path)
        reencoded = vectors.read_frames(path, REENCODE)
        selected = frames.select_frames(path, lambda frame_types, times: [len(frame_types) // 2])
    except UserError as error:
        return f"refused: {error}" if len(expected) > 1 else ""
    counts = len(read.frame_types), len(reencoded.frame_types), len(selected.frame_types)
    if set(counts) != {len(expected)}:
        return f"frames: {len(expected)}, vectors {counts[0]}, re-encoded {counts[1]}, keyframes {counts[2]}"
    middle = len(selected.frame_types) // 2
    if middle not in selected.pictures or not np.array_equal(selected.pictures[middle].image, expected[middle]):
        return f"keyframe {middle} of {len(expected)} differs"
    for index in range(len(expected) + 1):
        found = frames.pictures(path, [index])
        if index == len(expected) and found:
            return f"picture {index} exists, but there are {len(expected)}"
        if index < len(expected) and (index not in found or not np.array_equal(found[index], expected[index])):
            return f"picture {index} of {len(expected)} {'differs' if index in found else 'is missing'}"
    several = range(0, len(expected), 7)
    found = frames.pictures(path, several)
    if list(found) != list(several) or not all(np.array_equal(found[index], expected[index]) for index in several):
        return "pictures that are read together differ"
    return ""


def differences(folder: Path, clips: int, seed: int) -> Iterator[tuple[GeneratedClip, str]]:
    """Generate clips and yield each with its difference."""
    for number in range(clips):
        clip = make(folder, number, np.random.default_rng([seed, number]))
        yield clip, difference(clip.path)


def main() -> None:
    """Generate clips, compare them, and print the differences."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    av.logging.set_level(None)
    tried, bad = Counter(), Counter()
    with tempfile.TemporaryDirectory() as folder:
        for clip, difference_ in differences(Path(folder), given.clips, given.seed):
            tried[clip.manipulation] += 1
            if difference_:
                bad[clip.manipulation] += 1
                print(f"{clip.path.name} {clip.manipulation}: {clip.description}: {difference_}", flush=True)
            clip.path.unlink()
    for manipulation in MANIPULATIONS:
        print(f"{manipulation:10} {tried[manipulation]:4} clips, {bad[manipulation]} differ")
    print(json.dumps({"clips": given.clips, "differ": bad.total()}))
    if bad:
        sys.exit(1)


if __name__ == "__main__":
    main()
