"""Feature stores beside what one would write first, at the size of UCF101 (13,320 clips).

python -m benchmarks.store [--clips 13320] [--motion 512] [--compression] times, in turns: opening a store; reading
all embeddings, beside one .npz and one .pt a clip; reading 16 random frames from each of 256 motion clips, beside
h5py's own selection and one .pt a clip; and tells sizes on disk. Motion is drawn like a codec's: mostly still, a few
blocks that move. --compression prints the table of docs/stores.md instead: size, write and read time of HDF5's
filters. Times are of the processor, so that other work on the machine hardly counts; the files are in memory.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import h5py
import numpy as np
import torch

from mocliplite.errors import Failure
from mocliplite.store import hdf5, shards, stores

FRAMES, ROWS, COLS = 186, 30, 40  # the mean clip of UCF101 at cells of 8 pixels
PICKED = 16


def field(rng: np.random.Generator, frames: int) -> np.ndarray:
    """Motion int8 [T, ROWS, COLS, 2] of one clip: every 12th frame without vectors, a patch that wanders, noise."""
    vectors = np.zeros((frames, ROWS, COLS, 2), np.int8)
    top, left = rng.integers(0, ROWS - 12), rng.integers(0, COLS - 10)
    for frame in range(frames):
        vectors[frame, top : top + 12, left : left + 10] = rng.integers(-12, 13, (12, 10, 2))
        scattered = rng.random((ROWS, COLS)) < 0.03
        vectors[frame][scattered] = rng.integers(-40, 41, (int(scattered.sum()), 2))
    vectors[::12] = -128
    return vectors


def write_keyframes(folder: Path, ids: list[str], rows: np.ndarray) -> None:
    """A keyframe store of these rows, float32 [N, 1, D]."""
    place = {clip_id: row for row, clip_id in enumerate(ids)}

    def compute(missing: list[str]) -> dict[str, shards.Record | Failure]:
        extra = {"frame": np.array([90]), "time": np.array([3.6]), "source": np.array("0" * 64)}
        return {clip_id: shards.Record({"embedding": rows[place[clip_id]], **extra}) for clip_id in missing}

    write(folder, "keyframes", ids, compute)


def write(folder: Path, kind: str, ids: list[str], compute: shards.Compute) -> None:
    """A store of these clips."""
    with stores.updating(folder, kind):
        for number, part in enumerate(stores.by_shard(ids, kind)):
            shards.update_shard(stores.shard_path(folder, number), kind, {}, dict.fromkeys(part, "f"), compute)


def in_turns(readers: Mapping[str, Callable[[], object]], times: int = 5) -> dict[str, float]:
    """Median seconds of the processor of each, taken in turns."""
    seconds: dict[str, list[float]] = {name: [] for name in readers}
    for _ in range(times):
        for name, read in readers.items():
            begun = time.process_time()
            read()
            seconds[name].append(time.process_time() - begun)
    return {name: statistics.median(taken) for name, taken in seconds.items()}


def size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    return path.stat().st_size if path.is_file() else sum(file.stat().st_size for file in path.rglob("*.*"))


def embeddings(place: Path, clips: int) -> dict[str, float]:
    """All embeddings of a keyframe store."""
    rows = np.random.default_rng(0).standard_normal((clips, 1, 512), dtype=np.float32)
    ids = sorted(f"Class{number % 101:03d}__v_g{number % 25:02d}_c{number:05d}" for number in range(clips))
    write_keyframes(place / "keyframes", ids, rows)
    np.savez(place / "all.npz", ids=np.array(ids), embedding=rows)
    (place / "pt").mkdir()
    for clip_id, row in zip(ids, rows, strict=True):
        torch.save(torch.from_numpy(row.copy()), place / "pt" / f"{clip_id}.pt")
    opened = stores.open_store(place / "keyframes")
    readers = {
        "open": lambda: stores.open_store(place / "keyframes"),
        "ours": lambda: opened.read(ids),
        "npz": lambda: np.load(place / "all.npz")["embedding"],
        "pt": lambda: torch.stack([torch.load(place / "pt" / f"{clip_id}.pt") for clip_id in ids]).numpy(),
        "memory": rows.copy,
    }
    if any(not np.array_equal(readers[name](), rows) for name in ("ours", "npz", "pt")):
        raise SystemExit("a reader did not return what was written")
    taken = in_turns(readers)
    sizes = {"ours": size(place / "keyframes"), "npz": size(place / "all.npz"), "pt": size(place / "pt")}
    print({name: f"{seconds * 1e3:.1f} ms" for name, seconds in taken.items()}, sizes, f"raw {rows.nbytes}")
    return {
        "open_ms": taken["open"] * 1e3,
        "times_faster_than_pt": taken["pt"] / taken["ours"],
        "times_npz": taken["ours"] / taken["npz"],
        "times_memory": taken["ours"] / taken["memory"],
        "size_of_raw": sizes["ours"] / rows.nbytes,
        "size_of_npz": sizes["ours"] / sizes["npz"],
        "size_of_pt": sizes["ours"] / sizes["pt"],
    }


def frames(place: Path, clips: int, asked: int = 256) -> dict[str, float]:
    """Random frames of a motion store."""
    rng = np.random.default_rng(0)
    ids = [f"clip{number:05d}" for number in range(clips)]
    fields = {clip_id: field(rng, int(rng.integers(100, 2 * FRAMES - 100))) for clip_id in ids}

    def record(clip_id: str) -> shards.Record:
        kind = np.ones(len(fields[clip_id]), np.uint8)
        return shards.Record({"vectors": fields[clip_id], "kind": kind}, {"height": 240, "width": 320})

    write(place / "motion", "motion", ids, lambda missing: {clip_id: record(clip_id) for clip_id in missing})
    (place / "motion_pt").mkdir()
    for clip_id, vectors in fields.items():
        torch.save(torch.from_numpy(vectors), place / "motion_pt" / f"{clip_id}.pt")
    np.savez_compressed(place / "motion.npz", **fields)
    chosen = [str(clip_id) for clip_id in rng.choice(ids, min(asked, clips), replace=False)]
    picked = {clip_id: np.sort(rng.choice(len(fields[clip_id]), PICKED, replace=False)) for clip_id in chosen}
    opened = stores.open_store(place / "motion")

    def plain(clip_id: str) -> np.ndarray:
        with h5py.File(stores.shard_path(place / "motion", stores.shard_of(clip_id, 64))) as file:
            return file[clip_id]["vectors"][picked[clip_id]]

    def ours(clip_id: str) -> np.ndarray:
        return opened.read_frames(clip_id, lambda _: picked[clip_id]).arrays["vectors"]

    def loose(clip_id: str) -> np.ndarray:
        return torch.load(place / "motion_pt" / f"{clip_id}.pt")[picked[clip_id]].numpy()

    readers = {"ours": ours, "h5py": plain, "pt": loose}
    for clip_id in chosen[:20]:
        if any(not np.array_equal(read(clip_id), fields[clip_id][picked[clip_id]]) for read in readers.values()):
            raise SystemExit("a reader did not return what was written")
    taken = in_turns({name: lambda read=read: [read(clip_id) for clip_id in chosen] for name, read in readers.items()})
    raw = sum(vectors.nbytes for vectors in fields.values())
    sizes = {"ours": size(place / "motion"), "npz": size(place / "motion.npz"), "pt": size(place / "motion_pt")}
    print(
        {name: f"{seconds / len(chosen) * 1e3:.2f} ms a clip" for name, seconds in taken.items()}, sizes, f"raw {raw}"
    )
    return {
        "times_faster_than_h5py": taken["h5py"] / taken["ours"],
        "times_faster_than_pt": taken["pt"] / taken["ours"],
        "size_of_raw": sizes["ours"] / raw,
        "size_of_npz": sizes["ours"] / sizes["npz"],
        "size_of_pt": sizes["ours"] / sizes["pt"],
    }


def compression(place: Path, clips: int) -> dict[str, dict[str, float]]:
    """Size, write and read time of the ways to pack the same fields, relative to none."""
    import hdf5plugin

    rng = np.random.default_rng(0)
    fields = {f"clip{number:05d}": field(rng, FRAMES) for number in range(clips)}
    raw = sum(vectors.nbytes for vectors in fields.values())
    filters = {
        "none": {},
        "lzf": {"compression": "lzf"},
        "gzip 1": {"compression": "gzip", "compression_opts": 1},
        "gzip 4": {"compression": "gzip", "compression_opts": 4},
        "blosc lz4": dict(hdf5plugin.Blosc(cname="lz4", clevel=5)),
        "blosc zstd": dict(hdf5plugin.Blosc(cname="zstd", clevel=3)),
    }

    def by_filter(path: Path, options: dict[str, object]) -> None:
        with h5py.File(path, "w", libver=("v110", "v110")) as file:
            for clip_id, vectors in fields.items():
                file.create_dataset(clip_id, data=vectors, chunks=(13, ROWS, COLS, 2), **options)

    def by_us(path: Path) -> None:
        with hdf5.create(path, "motion", {}) as file:
            hdf5.put_arrays(file, fields)

    def read(path: Path) -> None:
        with h5py.File(path) as file:
            for clip_id in fields:
                file[clip_id][()]

    def read_us(path: Path) -> None:
        with hdf5.opened(path) as file:
            for clip_id in fields:
                hdf5.get(file, clip_id)

    paths = {name: place / f"{name}.h5" for name in (*filters, "ours")}
    writers = {name: lambda name=name: by_filter(paths[name], filters[name]) for name in filters}
    written = in_turns({**writers, "ours": lambda: by_us(paths["ours"])}, 3)
    readers = {name: lambda name=name: read(paths[name]) for name in filters}
    taken = in_turns({**readers, "ours": lambda: read_us(paths["ours"])}, 5)
    rows = {
        name: {
            "size": size(paths[name]) / raw,
            "write_mb_s": raw / written[name] / 1e6,
            "read_mb_s": raw / taken[name] / 1e6,
        }
        for name in paths
    }
    print("| | size of raw | write MB/s | read MB/s |\n|---|---|---|---|")
    for name, row in rows.items():
        print(f"| {name} | {row['size']:.3f} | {row['write_mb_s']:.0f} | {row['read_mb_s']:.0f} |")
    return rows


def main() -> None:
    """Parse the arguments and print; the last line is JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=13320, help="clips of the keyframe store (13320)")
    parser.add_argument("--motion", type=int, default=512, help="clips of the motion store (512)")
    parser.add_argument("--compression", action="store_true", help="the table of filters instead")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if given.compression:
            seen: dict[str, object] = dict(compression(Path(folder), min(given.motion, 64)))
        else:
            seen = {"embeddings": embeddings(Path(folder), given.clips), "frames": frames(Path(folder), given.motion)}
    print(json.dumps(seen, default=float))


if __name__ == "__main__":
    main()
