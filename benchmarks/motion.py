"""Speed of motion extraction compared with libavcodec alone and with motion-vector-extractor, in one process.

a      libavcodec decodes and exports vectors, which are discarded: the upper limit for all frames
b      read() of motion-vector-extractor, vectors as arrays; b' the same without pictures (set_decode_frames(False))
c      this project: vectors, motion field, compression and store
Then c with one and with two processes. Frames per second; the last line is JSON.
"""

import argparse
import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
from av.video.frame import PictureType

from mocliplite import params
from mocliplite.data.clips import Clip
from mocliplite.params import Compute, Motion
from mocliplite.runtime import engines
from mocliplite.store import stores
from stages import motion as stage

PROJECT = Path(__file__).parents[1]
FOOTAGE = PROJECT.parent / "shared/data"
SETTINGS = Motion(cell_size=8, accumulate="none", reencode=None, interpolate=False, max_damaged=0.1)
ALONE = Compute(workers=1, threads=1, device="cpu", engine="inline", time_limit=300)
UCF101_FRAMES = 2_500_000


def libavcodec(paths: Sequence[Path]) -> int:
    """Decode all frames with the options of motion extraction; return their number."""
    frames = 0
    for path in paths:
        with av.open(str(path)) as container:
            context = container.streams.video[0].codec_context
            context.thread_type = "NONE"
            context.options = {"flags2": "+export_mvs", "skip_loop_filter": "all", "skip_idct": "all"}
            frames += sum(1 for _ in container.decode(video=0))
    return frames


def peer(paths: Sequence[Path], pictures: bool) -> int:
    """Read all frames with motion-vector-extractor; return their number."""
    from mvextractor.videocap import VideoCap

    frames = 0
    for path in paths:
        capture = VideoCap()
        capture.open(str(path))
        capture.set_decode_frames(pictures)
        while capture.read()[0]:
            frames += 1
    return frames


def ours(paths: Sequence[Path], compute: Compute = ALONE) -> int:
    """Extract all clips into a new store as the stage does; return the number of failed clips."""
    ids = {f"{number:05d}": str(path) for number, path in enumerate(paths)}
    clips = {clip_id: Clip(clip_id, path, "", (0,), "", 0, "") for clip_id, path in ids.items()}
    project = params.load(PROJECT / "params.yaml")
    # The paths of the clips are absolute.
    settings = replace(project, dataset=replace(project.dataset, root="/", files="/"), motion=SETTINGS, compute=compute)
    parts = [
        stage.Part(number, [clips[clip_id] for clip_id in ids], settings, False)
        for number, ids in enumerate(stores.by_shard(clips, "motion"))
        if ids
    ]
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        return sum(failed for _, _, failed, _ in engines.map_shards(stage.extract, parts, compute))


def transcoded(source: Path, path: Path, codec: str, size: tuple[int, int], b_frames: int, max_frames: int) -> Path:
    """Write real footage in another codec and size; return the path."""
    options = {"qmin": "3", "qmax": "3", "b_strategy": "0"} if codec == "mpeg4" else {"crf": "23"}
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.gop_size, stream.codec_context.max_b_frames = 250, b_frames
        for index, frame in enumerate(old.decode(video=0)):
            if index == max_frames:
                break
            picture = frame.reformat(*size, format="yuv420p")
            picture.pts, picture.time_base, picture.pict_type = index, Fraction(1, 25), PictureType.NONE
            new.mux(stream.encode(picture))
        new.mux(stream.encode())
    return path


def footage(folder: Path) -> dict[str, tuple[list[Path], float | None]]:
    """Return kinds of footage: clips, and the speed that (c) should reach, as a multiple of (b)."""
    clips, ut_interaction = FOOTAGE / "clips", sorted((FOOTAGE / "ut_interaction").rglob("*.avi"))
    if not ut_interaction:
        sys.exit(f"real footage is not at {FOOTAGE}")
    small, large = (320, 240), (1280, 720)
    source = clips / "arm_wrestling.mp4"
    return {
        "XviD, packed B, UT-Interaction": (ut_interaction, 1.5),
        "XviD, packed B, UCF101 320x240": ([clips / "v_ApplyEyeMakeup_packed_b.avi"] * 40, 1.5),
        "H.264 340x256": ([source, clips / "pool_short.mp4"] * 8, 1.0),
        "MPEG-4 without B 320x240": ([transcoded(source, folder / "s.avi", "mpeg4", small, 0, 280)] * 12, 1.0),
        "H.264 720p": ([transcoded(source, folder / "l.mp4", "libx264", large, 2, 60)] * 6, 0.8),
        "MPEG-4 without B 720p": ([transcoded(source, folder / "l.avi", "mpeg4", large, 0, 60)] * 6, 0.8),
        "XviD-like with B 720p": ([transcoded(source, folder / "b.avi", "mpeg4", large, 2, 60)] * 6, 0.8),
    }


def timed(work: Callable[..., int], *arguments: object) -> tuple[float, float, int]:
    """Return wall and CPU seconds of work, and its result."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work(*arguments)
    return time.perf_counter() - wall, time.process_time() - cpu, result


def compare(paths: Sequence[Path], rounds: int) -> dict[str, tuple[float, float]]:
    """Return frames per second of wall time and of CPU time of each method.

    The methods alternate, so that a busy machine slows all of them alike.
    """
    methods: dict[str, tuple[Callable[..., int], tuple[object, ...]]] = {
        "a": (libavcodec, (paths,)),
        "b": (peer, (paths, True)),
        "b'": (peer, (paths, False)),
        "c": (ours, (paths,)),
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in methods}
    results = {}
    for _ in range(rounds):
        for name, (work, arguments) in methods.items():
            wall, cpu, results[name] = timed(work, *arguments)
            times[name].append((wall, cpu))
    frames = results["a"]
    if results != {"a": frames, "b": frames, "b'": frames, "c": 0}:
        sys.exit(f"not all methods read {frames} frames: {results}")
    medians = {
        name: [statistics.median(values) for values in zip(*pairs, strict=True)] for name, pairs in times.items()
    }
    return {name: (frames / wall, frames / cpu) for name, (wall, cpu) in medians.items()}


def main() -> None:
    """Print a line for each kind of footage, then the speed of two processes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    ratios = {}
    head = (
        f"{'frames per second of wall time':31} {'a':>7} {'b':>7} {'b1':>7} {'c':>7}   c/a   c/b  goal  CPU: c/a   c/b"
    )
    print(head.replace("b1", "b'"))
    with tempfile.TemporaryDirectory() as folder:
        kinds = footage(Path(folder))
        for name, (paths, goal) in kinds.items():
            rates = compare(paths, given.rounds)
            a, b, b_without_pictures, c = (rates[name][0] for name in ("a", "b", "b'", "c"))
            cpu_to_a, cpu_to_b = rates["c"][1] / rates["a"][1], rates["c"][1] / rates["b"][1]
            print(
                f"{name:31} {a:7.0f} {b:7.0f} {b_without_pictures:7.0f} {c:7.0f} {c / a:5.2f} {c / b:5.2f} {goal:5.1f} "
                f"{cpu_to_a:8.2f} {cpu_to_b:5.2f}"
            )
            found = {"c/a": c / a, "c/b": c / b, "c/a by CPU": cpu_to_a, "c/b by CPU": cpu_to_b}
            ratios[name] = {key: round(value, 2) for key, value in found.items()}
        paths = next(iter(kinds.values()))[0] * 6
        frames, one_process, two_processes = libavcodec(paths), [], []
        for _ in range(given.rounds):
            for rates, workers in ((one_process, 1), (two_processes, 2)):
                wall, _, _ = timed(ours, paths, replace(ALONE, workers=workers, engine="processes"))
                rates.append(frames / wall)
    single, rate = statistics.median(one_process), statistics.median(two_processes)
    gain = rate / single
    print(f"one process {single:.0f}, two {rate:.0f} frames per second including their start: {gain:.2f} times")
    print(f"UCF101's 2.5 million frames at that rate: {UCF101_FRAMES / rate / 60:.1f} minutes with two processes")
    print(
        json.dumps(
            {"ratios": ratios, "two_processes": round(gain, 2), "ucf101_minutes": round(UCF101_FRAMES / rate / 60, 1)}
        )
    )


if __name__ == "__main__":
    main()
