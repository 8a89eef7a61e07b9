"""Speed of 100 segments of one file, decoded once for all of them, against a decode for each, and against cut files.

together   motion fields, or keyframes, of all segments in one call
each       one call per segment, on the whole file: what a pipeline does that decodes the file of every clip
cut        one call per segment, on a file that contains the segment alone
limit      the field of the whole file, or a sequential decode of all of its pictures
The first three give the same values, which is checked. Seconds for all segments; the last line is JSON.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import av
import numpy as np

from benchmarks.motion import FOOTAGE, SETTINGS
from benchmarks.scenes import CODECS
from mocliplite.errors import Failure
from mocliplite.motion import extraction
from mocliplite.motion.field import Field
from mocliplite.spans import Span
from mocliplite.video.keyframes import Keyframe, read_keyframes, read_keyframes_of_spans

SEGMENTS, FRAMES, RATE = 100, 25, 25  # a segment is a group of pictures
SPANS = [Span(number * FRAMES / RATE, (number + 1) * FRAMES / RATE) for number in range(SEGMENTS)]
KINDS = {"H.264 320x240": ("libx264", "mp4", 2), "MPEG-4 320x240": ("mpeg4", "avi", 0)}


def real_pictures() -> Iterator[av.VideoFrame]:
    """Yield the pictures of real clips, of 320x240 pixels, without end."""
    paths = sorted((FOOTAGE / "ucf101_six").rglob("*_c01.avi"))
    if not paths:
        sys.exit(f"real footage is not at {FOOTAGE}")
    for path in cycle(paths):
        with av.open(str(path)) as container:
            yield from container.decode(video=0)


def long_file(path: Path, codec: str, b_frames: int) -> None:
    """Write a file of all segments, with a key frame at the start of each."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=RATE, options=CODECS[codec])
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        stream.codec_context.gop_size, stream.codec_context.max_b_frames = FRAMES, b_frames
        for index, picture in enumerate(islice(real_pictures(), SEGMENTS * FRAMES)):
            frame = picture.reformat(format="yuv420p")
            frame.pts, frame.time_base, frame.pict_type = index, Fraction(1, RATE), av.video.frame.PictureType.NONE
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def cut_files(path: Path) -> list[Path]:
    """Copy the packets of each segment to a file of its own; return the paths."""
    paths = [path.with_stem(f"{number:04d}") for number in range(SEGMENTS)]
    with av.open(str(path)) as old:
        packets = [packet for packet in old.demux(video=0) if packet.size]
        for number, cut in enumerate(paths):
            with av.open(str(cut), "w") as new:
                stream = new.add_stream_from_template(old.streams.video[0])
                own = packets[number * FRAMES : (number + 1) * FRAMES]
                first = own[0].dts
                for packet in own:
                    packet.pts, packet.dts, packet.stream = packet.pts - first, packet.dts - first, stream
                    new.mux(packet)
    return paths


def same(found: Sequence[Any], others: Sequence[Any]) -> bool:
    """Return whether two lists of fields, or of keyframes, have the same values."""

    def values(result: Field | list[Keyframe] | Failure) -> list[np.ndarray]:
        if isinstance(result, Failure):
            sys.exit(result.reason)
        return [result.vectors, result.kind] if isinstance(result, Field) else [result[0].image]

    pairs = zip(map(values, found), map(values, others), strict=True)
    return all(np.array_equal(one, other) for first, second in pairs for one, other in zip(first, second, strict=True))


def decode_all(path: Path) -> int:
    """Decode all pictures of a file; return their number."""
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "NONE"
        return sum(1 for _ in container.decode(video=0))


def methods_of(path: Path, cuts: Sequence[Path]) -> dict[str, dict[str, Callable[[], Any]]]:
    """Return the methods by stream and name."""
    return {
        "vectors": {
            "together": lambda: extraction.motion_fields(path, SPANS, SETTINGS),
            "each": lambda: [extraction.motion_fields(path, [span], SETTINGS)[0] for span in SPANS],
            "cut": lambda: [extraction.motion_field(cut, SETTINGS) for cut in cuts],
            "limit": lambda: extraction.motion_field(path, SETTINGS),
        },
        "keyframes": {
            "together": lambda: read_keyframes_of_spans(path, SPANS, 1, "middle"),
            "each": lambda: [read_keyframes(path, 1, "middle", span=span) for span in SPANS],
            "cut": lambda: [read_keyframes(cut, 1, "middle") for cut in cuts],
            "limit": lambda: decode_all(path),
        },
    }


def compare(methods: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Return the seconds of each method, the median of rounds in turns; exit unless their values are the same.

    `each` takes a hundred times as long as the others, so it runs in the first round alone.
    """
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    results = {}
    for number in range(rounds):
        for name, work in methods.items():
            if name == "each" and number:
                continue
            start = time.perf_counter()
            results[name] = work()
            seconds[name].append(time.perf_counter() - start)
    for name in ("each", "cut"):
        if not same(results["together"], results[name]):
            sys.exit(f"together and {name} differ")
    return {name: statistics.median(values) for name, values in seconds.items()}


def main() -> None:
    """Print a line for each codec and stream."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    print(f"{'seconds for 100 segments':26} {'together':>8} {'each':>8} {'cut':>8} {'limit':>8}  each/together")
    ratios = {}
    for kind, (codec, ending, b_frames) in KINDS.items():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"long.{ending}")
            long_file(path, codec, b_frames)
            for name, methods in methods_of(path, cut_files(path)).items():
                seconds = compare(methods, given.rounds)
                ratio = seconds["each"] / seconds["together"]
                columns = " ".join(f"{value:8.2f}" for value in seconds.values())
                print(f"{kind + ', ' + name:26} {columns} {ratio:14.1f}", flush=True)
                ratios[f"{kind}, {name}"] = {
                    "times_faster": round(ratio, 1),
                    "times_the_limit": round(seconds["together"] / seconds["limit"], 2),
                }
    print(json.dumps(ratios))


if __name__ == "__main__":
    main()
