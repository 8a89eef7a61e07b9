"""Motion extraction beside libavcodec alone and beside motion-vector-extractor, all footage, one process, in turns.

a      libavcodec decodes with vectors exported and thrown away: the limit of a pass over all frames
b      the peer's read(), vectors as arrays; b' the same with its pictures off (set_decode_frames(False))
c      ours: vectors, motion field, compression and store
Then c with one process and with two. Frames a second; the last line is JSON.
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
    """Decode all frames as motion extraction does, and look at none."""
    frames = 0
    for path in paths:
        with av.open(str(path)) as container:
            context = container.streams.video[0].codec_context
            context.thread_type = "NONE"
            context.options = {"flags2": "+export_mvs", "skip_loop_filter": "all", "skip_idct": "all"}
            frames += sum(1 for _ in container.decode(video=0))
    return frames


def peer(paths: Sequence[Path], pictures: bool) -> int:
    """Read all frames with motion-vector-extractor."""
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
    """The stage's own work into the shards of a new store; returns how many clips gave no field."""
    clips = {f"{number:05d}": Clip(f"{number:05d}", str(path), "", 0, "", 0, "") for number, path in enumerate(paths)}
    project = params.load(PROJECT / "params.yaml")
    # The paths are whole ones.
    settings = replace(project, dataset=replace(project.dataset, root="/"), motion=SETTINGS, compute=compute)
    parts = [
        stage.Part(number, [clips[clip_id] for clip_id in ids], settings, False)
        for number, ids in enumerate(stores.by_shard(clips, "motion"))
        if ids
    ]
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        return sum(failed for _, _, failed in engines.map_shards(stage.extract, parts, compute))


def transcoded(source: Path, path: Path, codec: str, size: tuple[int, int], b_frames: int, most: int) -> Path:
    """Real footage as another codec and size."""
    options = {"qmin": "3", "qmax": "3", "b_strategy": "0"} if codec == "mpeg4" else {"crf": "23"}
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.gop_size, stream.codec_context.max_b_frames = 250, b_frames
        for index, frame in enumerate(old.decode(video=0)):
            if index == most:
                break
            picture = frame.reformat(*size, format="yuv420p")
            picture.pts, picture.time_base, picture.pict_type = index, Fraction(1, 25), PictureType.NONE
            new.mux(stream.encode(picture))
        new.mux(stream.encode())
    return path


def footage(folder: Path) -> dict[str, tuple[list[Path], float | None]]:
    """Kinds of footage: clips, and the times of (b) that (c) should reach."""
    clips, everyone = FOOTAGE / "clips", sorted((FOOTAGE / "ut_interaction").rglob("*.avi"))
    if not everyone:
        sys.exit(f"real footage is not at {FOOTAGE}")
    small, large = (320, 240), (1280, 720)
    source = clips / "arm_wrestling.mp4"
    return {
        "XviD, packed B, UT-Interaction": (everyone, 1.5),
        "XviD, packed B, UCF101 320x240": ([clips / "v_ApplyEyeMakeup_packed_b.avi"] * 40, 1.5),
        "H.264 340x256": ([source, clips / "pool_short.mp4"] * 8, 1.0),
        "MPEG-4 without B 320x240": ([transcoded(source, folder / "s.avi", "mpeg4", small, 0, 280)] * 12, 1.0),
        "H.264 720p": ([transcoded(source, folder / "l.mp4", "libx264", large, 2, 60)] * 6, 0.8),
        "MPEG-4 without B 720p": ([transcoded(source, folder / "l.avi", "mpeg4", large, 0, 60)] * 6, 0.8),
        "XviD-like with B 720p": ([transcoded(source, folder / "b.avi", "mpeg4", large, 2, 60)] * 6, 0.8),
    }


def timed(work: Callable[..., int], *arguments: object) -> tuple[float, float, int]:
    """Wall and CPU seconds of work, and what it returns."""
    wall, cpu = time.perf_counter(), time.process_time()
    answer = work(*arguments)
    return time.perf_counter() - wall, time.process_time() - cpu, answer


def compare(paths: Sequence[Path], rounds: int) -> dict[str, tuple[float, float]]:
    """Frames a second by the clock and by CPU time, of each way; in turns, so that a busy machine slows all alike."""
    ways: dict[str, tuple[Callable[..., int], tuple[object, ...]]] = {
        "a": (libavcodec, (paths,)),
        "b": (peer, (paths, True)),
        "b'": (peer, (paths, False)),
        "c": (ours, (paths,)),
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    answers = {}
    for _ in range(rounds):
        for name, (work, arguments) in ways.items():
            wall, cpu, answers[name] = timed(work, *arguments)
            found[name].append((wall, cpu))
    frames = answers["a"]
    if answers != {"a": frames, "b": frames, "b'": frames, "c": 0}:
        sys.exit(f"not all ways read {frames} frames: {answers}")
    medians = {name: [statistics.median(times) for times in zip(*pairs, strict=True)] for name, pairs in found.items()}
    return {name: (frames / wall, frames / cpu) for name, (wall, cpu) in medians.items()}


def main() -> None:
    """Print a line for each kind of footage, then what two processes give."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    ratios = {}
    head = f"{'frames a second by the clock':31} {'a':>7} {'b':>7} {'b1':>7} {'c':>7}   c/a   c/b  goal  CPU: c/a   c/b"
    print(head.replace("b1", "b'"))
    with tempfile.TemporaryDirectory() as folder:
        kinds = footage(Path(folder))
        for name, (paths, goal) in kinds.items():
            rates = compare(paths, given.rounds)
            a, b, plain, c = (rates[way][0] for way in ("a", "b", "b'", "c"))
            limit, by_cpu = rates["c"][1] / rates["a"][1], rates["c"][1] / rates["b"][1]
            print(
                f"{name:31} {a:7.0f} {b:7.0f} {plain:7.0f} {c:7.0f} {c / a:5.2f} {c / b:5.2f} {goal:5.1f} "
                f"{limit:8.2f} {by_cpu:5.2f}"
            )
            found = {"c/a": c / a, "c/b": c / b, "c/a by CPU": limit, "c/b by CPU": by_cpu}
            ratios[name] = {key: round(value, 2) for key, value in found.items()}
        paths = next(iter(kinds.values()))[0] * 6
        frames, one, two = libavcodec(paths), [], []
        for _ in range(given.rounds):
            for found, workers in ((one, 1), (two, 2)):
                wall, _, _ = timed(ours, paths, replace(ALONE, workers=workers, engine="processes"))
                found.append(frames / wall)
    rate, gain = statistics.median(two), statistics.median(two) / statistics.median(one)
    print(
        f"one process {statistics.median(one):.0f}, two {rate:.0f} frames a second with their start: {gain:.2f} times"
    )
    print(f"UCF101's 2.5 million frames at that rate: {UCF101_FRAMES / rate / 60:.1f} minutes with two processes")
    print(
        json.dumps(
            {"ratios": ratios, "two_processes": round(gain, 2), "ucf101_minutes": round(UCF101_FRAMES / rate / 60, 1)}
        )
    )


if __name__ == "__main__":
    main()
