"""Would one decode for vectors and keyframe be faster than the two passes of `predict`?

Run as `python -m benchmarks.one_decode`. Two passes: the motion field without the decoder's steps that only pixels need
(loop filter, inverse transform, B-frames of MPEG-4), then the centre frame, from the nearest safe start. One pass would
be a decode with all steps, and what the field takes in addition to its decode. Milliseconds of processor time per clip;
the last line is JSON.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import av

from benchmarks.motion import FOOTAGE, SETTINGS, transcoded
from mocliplite.motion.extraction import motion_field
from mocliplite.video.keyframes import read_keyframes
from mocliplite.video.vectors import read_frames

ROUNDS = 3


def decode_fully(paths: Sequence[Path]) -> None:
    """Decode all frames with vectors and pixels."""
    for path in paths:
        with av.open(str(path)) as container:
            context = container.streams.video[0].codec_context
            context.thread_type, context.options = "NONE", {"flags2": "+export_mvs"}
            for _ in container.decode(video=0):
                pass


def milliseconds(work: Callable[[], object], clips: int) -> float:
    """Return the shortest processor time per clip of a few rounds."""
    times = []
    for _ in range(ROUNDS):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return 1000 * min(times) / clips


def compare(paths: Sequence[Path]) -> dict[str, float]:
    """Return the time of both ways."""
    field = milliseconds(lambda: [motion_field(path, SETTINGS) for path in paths], len(paths))
    keyframe = milliseconds(lambda: [read_keyframes(path, 1, "middle") for path in paths], len(paths))
    full = milliseconds(lambda: decode_fully(paths), len(paths))
    frames = milliseconds(lambda: [read_frames(path) for path in paths], len(paths))
    return {"two": field + keyframe, "one": full + field - frames, "keyframe": keyframe}


def main() -> None:
    """Print a line for each kind of footage."""
    source = FOOTAGE / "clips/arm_wrestling.mp4"
    if not source.is_file():
        sys.exit(f"real footage is not at {FOOTAGE}")
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        kinds = {
            "UT-Interaction": sorted((FOOTAGE / "ut_interaction").rglob("*.avi"))[::10],
            "UCF101": sorted((FOOTAGE / "ucf101_six").rglob("*.avi"))[::15],
            "H.264 340x256": [source],
            "H.264 720p": [transcoded(source, Path(folder, "720p.mp4"), "libx264", (1280, 720), 2, 120)],
        }
        for name, paths in kinds.items():
            found = compare(paths)
            text = ", ".join(f"{part} {value:.1f} ms" for part, value in found.items())
            print(f"{name}: {text}: one pass takes {found['one'] / found['two']:.2f} times as long")
            results[name] = round(found["one"] / found["two"], 2)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
