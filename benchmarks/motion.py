"""Speed of motion extraction compared with libavcodec alone and with motion-vector-extractor, in one process.

o      all packets are read and given to a decoder that skips every frame: what PyAV's loop takes at least
a      libavcodec decodes and exports vectors, which are discarded: the upper limit for all frames
b      read() of motion-vector-extractor, vectors as arrays; b' the same without pictures (set_decode_frames(False))
c      this project: vectors, motion field, compression and store
Then c with one and with two processes, and what follows for large data sets. Frames per second; the last line is JSON.
"""

import argparse
import contextlib
import json
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
from mocliplite.extraction import motion
from mocliplite.extraction.shard_runs import ShardOfClips
from mocliplite.params import Compute, Motion
from mocliplite.runtime import engines

PROJECT = Path(__file__).parents[1]
FOOTAGE = PROJECT.parent / "shared/data"
DEFAULTS = params.load(PROJECT / "params.yaml")
SETTINGS = Motion(cell_size=8, accumulate="none", reencode=None, interpolate=False, max_damaged=0.1)
ALONE = Compute(workers=1, threads=1, device="cpu", engine="inline", time_limit=300)
# Frames of large data sets, and the kind of footage that is like them. Kinetics-400: 306,000 clips of 10 s at 30 frames
# per second, at the size at which it is usually stored.
LARGE = {"UCF101": (2_500_000, "MPEG-4, UCF101 320x240"), "Kinetics-400": (92_000_000, "H.264 340x256")}
CORES = (2, 64)


def empty_loop(paths: Sequence[Path]) -> int:
    """Give all packets to a decoder that skips every frame."""
    for path in paths:
        with av.open(str(path)) as container:
            container.streams.video[0].codec_context.skip_frame = "ALL"
            for packet in container.demux(video=0):
                packet.decode()
    return 0


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


def ours(paths: Sequence[Path]) -> int:
    """Extract all clips into one shard of a new store, since shards of large data sets have many clips.

    Returns the number of failed clips.
    """
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        (updated,) = motion.update_shards(spec_of(0, list(enumerate(paths)), ALONE))
    return updated.failed


def ours_in_processes(paths: Sequence[Path], workers: int) -> int:
    """Extract all clips into the shards of a new store as the stage does; return the number of failed clips."""
    compute = replace(ALONE, workers=workers, engine="processes")
    shards = range(64)
    specs = [spec_of(shard, list(enumerate(paths))[shard :: len(shards)], compute) for shard in shards]
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        return sum(updated.failed for updated in engines.map_specs(motion.update_shards, specs, compute))


def spec_of(shard: int, paths: Sequence[tuple[int, Path]], compute: Compute) -> motion.Spec:
    """Return the work of one shard: clips by number and absolute path."""
    clips = [Clip(f"{number:05d}", str(path), "", (0,), "", 0, "") for number, path in paths]
    settings = replace(
        DEFAULTS, dataset=replace(DEFAULTS.dataset, root="/", files="/"), motion=SETTINGS, compute=compute
    )
    return motion.Spec([ShardOfClips(Path("features/motion", f"{shard:04d}.h5"), clips)], settings, False)


METHODS: dict[str, Callable[[Sequence[Path]], int]] = {
    "o": empty_loop,
    "a": libavcodec,
    "b": lambda paths: peer(paths, True),
    "b'": lambda paths: peer(paths, False),
    "c": ours,
}


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


def footage(folder: Path) -> dict[str, list[Path]]:
    """Return the clips of each kind of footage. Those of UCF101 are every fourth of six classes."""
    clips, ut_interaction = FOOTAGE / "clips", sorted((FOOTAGE / "ut_interaction").rglob("*.avi"))
    if not ut_interaction:
        sys.exit(f"real footage is not at {FOOTAGE}")
    small, large = (320, 240), (1280, 720)
    source = clips / "arm_wrestling.mp4"
    made = {
        "MPEG-4 without B 320x240": (transcoded(source, folder / "s.avi", "mpeg4", small, 0, 280), 12),
        "H.264 720p": (transcoded(source, folder / "l.mp4", "libx264", large, 2, 60), 6),
        "MPEG-4 without B 720p": (transcoded(source, folder / "l.avi", "mpeg4", large, 0, 60), 6),
        "XviD-like with B 720p": (transcoded(source, folder / "b.avi", "mpeg4", large, 2, 60), 6),
    }
    return {
        "XviD, packed B, UT-Interaction": ut_interaction[::2],
        "XviD, packed B, UCF101 320x240": repeated(clips / "v_ApplyEyeMakeup_packed_b.avi", 40, folder),
        "MPEG-4, UCF101 320x240": sorted((FOOTAGE / "ucf101_six").rglob("*.avi"))[::4],
        "H.264 340x256": repeated(source, 8, folder) + repeated(clips / "pool_short.mp4", 8, folder),
        **{name: repeated(path, count, folder) for name, (path, count) in made.items()},
    }


def repeated(path: Path, count: int, folder: Path) -> list[Path]:
    """Return links to a clip, since the segments of one file would be extracted in one decode."""
    links = [folder / f"{path.stem}_{number}{path.suffix}" for number in range(count)]
    folder.mkdir(exist_ok=True)
    for link in links:
        link.symlink_to(path)
    return links


def timed(work: Callable[..., int], *arguments: object) -> tuple[float, float, int]:
    """Return wall and CPU seconds of work, and its result."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work(*arguments)
    return time.perf_counter() - wall, time.process_time() - cpu, result


def compare(paths: Sequence[Path], rounds: int) -> dict[str, tuple[float, float]]:
    """Return frames per second of wall time and of CPU time of each method, in its fastest round.

    The methods alternate, so that a busy machine slows all of them alike.
    """
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in METHODS}
    results = {}
    for _ in range(rounds):
        for name, work in METHODS.items():
            wall, cpu, results[name] = timed(work, paths)
            times[name].append((wall, cpu))
    frames = results["a"]
    if results != {"o": 0, "a": frames, "b": frames, "b'": frames, "c": 0}:
        sys.exit(f"not all methods read {frames} frames: {results}")
    fastest = {name: [min(values) for values in zip(*pairs, strict=True)] for name, pairs in times.items()}
    return {name: (frames / wall, frames / cpu) for name, (wall, cpu) in fastest.items()}


def main() -> None:
    """Print a line for each kind of footage, then the speed of two processes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    ratios, speeds = {}, {}
    print(f"{'frames per second of wall time':31}", *(f"{name:>7}" for name in METHODS), "  c/a   c/b  CPU: c/a   c/b")
    with tempfile.TemporaryDirectory() as folder:
        kinds = footage(Path(folder))
        for name, paths in kinds.items():
            rates = compare(paths, given.rounds)
            wall, cpu = ({method: rate[part] for method, rate in rates.items()} for part in (0, 1))
            found = {"c/a": wall["c"] / wall["a"], "c/b": wall["c"] / wall["b"]}
            found |= {"c/a by CPU": cpu["c"] / cpu["a"], "c/b by CPU": cpu["c"] / cpu["b"]}
            a, b, a_cpu, b_cpu = found.values()
            print(
                f"{name:31}",
                *(f"{rate:7.0f}" for rate in wall.values()),
                f"{a:5.2f} {b:5.2f} {a_cpu:9.2f} {b_cpu:5.2f}",
            )
            ratios[name] = {key: round(value, 2) for key, value in found.items()}
            speeds[name] = cpu["c"]
        paths = [
            link
            for number, path in enumerate(kinds["XviD, packed B, UT-Interaction"])
            for link in repeated(path, 12, Path(folder, f"{number}"))
        ]
        one_process, two_processes = [], []
        for _ in range(given.rounds):
            for seconds, workers in ((one_process, 1), (two_processes, 2)):
                seconds.append(timed(ours_in_processes, paths, workers)[0])
    gain = min(one_process) / min(two_processes)
    print(f"two processes: {gain:.2f} times one, including their start")
    minutes = {
        f"{name}, {cores} cores": round(frames / speeds[kind] / (gain / 2 * cores) / 60, 1)
        for name, (frames, kind) in LARGE.items()
        for cores in CORES
    }
    print("minutes by extrapolation:", ", ".join(f"{name} {value}" for name, value in minutes.items()))
    print(json.dumps({"ratios": ratios, "two_processes": round(gain, 2), "minutes": minutes}))


if __name__ == "__main__":
    main()
