"""Compare feature stores with simple file formats at the size of UCF101 (13,320 clips).

python -m benchmarks.store [--clips 13320] [--motion 512] [--compression] measures opening a store, reading all
embeddings (compared with one .npz file and with one .pt file per clip), reading 16 random frames from each of 256
motion clips (compared with the selection of h5py and with one .pt file per clip), and sizes on disk. The alternatives
run in turns. Motion is synthetic: mostly still, with a few moving blocks. --compression prints the table of
docs/stores.md instead: size, write and read speed of compression filters. Times are CPU times, so other work on the
machine has little influence; the files are in memory.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import h5py
import numpy as np
import torch

from mocliplite.errors import Failure
from mocliplite.store import hdf5, layout, shards, stores, update

FRAMES, ROWS, COLS = 186, 30, 40  # the mean clip of UCF101 with cells of 8 pixels
SELECTED_FRAMES = 16


def field(rng: np.random.Generator, frames: int) -> np.ndarray:
    """Return synthetic motion int8 [T, ROWS, COLS, 2]: a moving block, noise, and no vectors in every 12th frame."""
    vectors = np.zeros((frames, ROWS, COLS, 2), np.int8)
    top, left = rng.integers(0, ROWS - 12), rng.integers(0, COLS - 10)
    for frame in range(frames):
        vectors[frame, top : top + 12, left : left + 10] = rng.integers(-12, 13, (12, 10, 2))
        scattered = rng.random((ROWS, COLS)) < 0.03
        vectors[frame][scattered] = rng.integers(-40, 41, (int(scattered.sum()), 2))
    vectors[::12] = -128
    return vectors


def write_keyframes(folder: Path, ids: list[str], rows: np.ndarray) -> None:
    """Write a keyframe store of embeddings float32 [N, 1, D]."""
    row_of = {clip_id: row for row, clip_id in enumerate(ids)}

    def compute(missing: list[str]) -> Iterator[tuple[str, shards.Record | Failure]]:
        extra = {"frame": np.array([90]), "time": np.array([3.6]), "source": np.array("0" * 64)}
        return ((clip_id, shards.Record({"embedding": rows[row_of[clip_id]], **extra})) for clip_id in missing)

    write(folder, "keyframes", ids, compute)


def write(folder: Path, kind: str, ids: list[str], compute: update.ComputeRecords) -> None:
    """Write a store of these clips."""
    with stores.updating(folder, kind, len(ids)):
        for path, shard_ids in layout.ids_by_path(folder, kind, ids).items():
            update.update_shard(path, kind, {}, dict.fromkeys(shard_ids, "f"), compute)


def median_cpu_seconds(functions: Mapping[str, Callable[[], object]], repeats: int = 5) -> dict[str, float]:
    """Return the median CPU seconds of each function. The functions run in turns."""
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            start = time.process_time()
            function()
            seconds[name].append(time.process_time() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def size(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    return path.stat().st_size if path.is_file() else sum(file.stat().st_size for file in path.rglob("*.*"))


def embeddings(folder: Path, clips: int) -> dict[str, float]:
    """Measure reading all embeddings of a keyframe store."""
    rows = np.random.default_rng(0).standard_normal((clips, 1, 512), dtype=np.float32)
    ids = sorted(f"Class{number % 101:03d}__v_g{number % 25:02d}_c{number:05d}" for number in range(clips))
    write_keyframes(folder / "keyframes", ids, rows)
    np.savez(folder / "all.npz", ids=np.array(ids), embedding=rows)
    (folder / "pt").mkdir()
    for clip_id, row in zip(ids, rows, strict=True):
        torch.save(torch.from_numpy(row.copy()), folder / "pt" / f"{clip_id}.pt")
    opened = stores.open_store(folder / "keyframes")
    readers = {
        "open": lambda: stores.open_store(folder / "keyframes"),
        "ours": lambda: opened.read(ids),
        "npz": lambda: np.load(folder / "all.npz")["embedding"],
        "pt": lambda: torch.stack([torch.load(folder / "pt" / f"{clip_id}.pt") for clip_id in ids]).numpy(),
        "memory": rows.copy,
    }
    if any(not np.array_equal(readers[name](), rows) for name in ("ours", "npz", "pt")):
        raise SystemExit("a reader returned other values than were written")
    seconds = median_cpu_seconds(readers)
    sizes = {"ours": size(folder / "keyframes"), "npz": size(folder / "all.npz"), "pt": size(folder / "pt")}
    print({name: f"{value * 1e3:.1f} ms" for name, value in seconds.items()}, sizes, f"raw {rows.nbytes}")
    return {
        "open_ms": seconds["open"] * 1e3,
        "times_faster_than_pt": seconds["pt"] / seconds["ours"],
        "times_npz": seconds["ours"] / seconds["npz"],
        "times_memory": seconds["ours"] / seconds["memory"],
        "size_of_raw": sizes["ours"] / rows.nbytes,
        "size_of_npz": sizes["ours"] / sizes["npz"],
        "size_of_pt": sizes["ours"] / sizes["pt"],
    }


def frames(folder: Path, clips: int, clips_read: int = 256) -> dict[str, float]:
    """Measure reading random frames of a motion store."""
    rng = np.random.default_rng(0)
    ids = [f"clip{number:05d}" for number in range(clips)]
    fields = {clip_id: field(rng, int(rng.integers(100, 2 * FRAMES - 100))) for clip_id in ids}

    def record(clip_id: str) -> shards.Record:
        kind = np.ones(len(fields[clip_id]), np.uint8)
        return shards.Record({"vectors": fields[clip_id], "kind": kind}, {"height": 240, "width": 320})

    write(folder / "motion", "motion", ids, lambda missing: ((clip_id, record(clip_id)) for clip_id in missing))
    (folder / "motion_pt").mkdir()
    for clip_id, vectors in fields.items():
        torch.save(torch.from_numpy(vectors), folder / "motion_pt" / f"{clip_id}.pt")
    np.savez_compressed(folder / "motion.npz", **fields)
    selected = [str(clip_id) for clip_id in rng.choice(ids, min(clips_read, clips), replace=False)]
    selected_frames = {
        clip_id: np.sort(rng.choice(len(fields[clip_id]), SELECTED_FRAMES, replace=False)) for clip_id in selected
    }
    opened = stores.open_store(folder / "motion")

    def h5py_selection(clip_id: str) -> np.ndarray:
        with h5py.File(layout.shard_path(folder / "motion", "motion", layout.shard_of(clip_id, 64), 64)) as file:
            return file[clip_id]["vectors"][selected_frames[clip_id]]

    def ours(clip_id: str) -> np.ndarray:
        return opened.read_frames(clip_id, lambda _: selected_frames[clip_id]).arrays["vectors"]

    def one_file_per_clip(clip_id: str) -> np.ndarray:
        return torch.load(folder / "motion_pt" / f"{clip_id}.pt")[selected_frames[clip_id]].numpy()

    readers = {"ours": ours, "h5py": h5py_selection, "pt": one_file_per_clip}
    for clip_id in selected[:20]:
        if any(
            not np.array_equal(read(clip_id), fields[clip_id][selected_frames[clip_id]]) for read in readers.values()
        ):
            raise SystemExit("a reader returned other values than were written")
    seconds = median_cpu_seconds(
        {name: lambda read=read: [read(clip_id) for clip_id in selected] for name, read in readers.items()}
    )
    raw = sum(vectors.nbytes for vectors in fields.values())
    sizes = {"ours": size(folder / "motion"), "npz": size(folder / "motion.npz"), "pt": size(folder / "motion_pt")}
    print(
        {name: f"{value / len(selected) * 1e3:.2f} ms per clip" for name, value in seconds.items()}, sizes, f"raw {raw}"
    )
    return {
        "times_faster_than_h5py": seconds["h5py"] / seconds["ours"],
        "times_faster_than_pt": seconds["pt"] / seconds["ours"],
        "size_of_raw": sizes["ours"] / raw,
        "size_of_npz": sizes["ours"] / sizes["npz"],
        "size_of_pt": sizes["ours"] / sizes["pt"],
    }


def compression(folder: Path, clips: int) -> dict[str, dict[str, float]]:
    """Print and return size, write and read speed of the compression filters on the same fields."""
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

    def write_with_filter(path: Path, options: dict[str, object]) -> None:
        with h5py.File(path, "w", libver=("v110", "v110")) as file:
            for clip_id, vectors in fields.items():
                file.create_dataset(clip_id, data=vectors, chunks=(13, ROWS, COLS, 2), **options)

    def write_store_file(path: Path) -> None:
        with hdf5.create_file(path, "motion", {}, {}) as file:
            hdf5.write_arrays(file, fields)

    def read_with_filter(path: Path) -> None:
        with h5py.File(path) as file:
            for clip_id in fields:
                file[clip_id][()]

    def read_store_file(path: Path) -> None:
        with hdf5.open_file(path) as file:
            for clip_id in fields:
                hdf5.read_array(file, clip_id)

    paths = {name: folder / f"{name}.h5" for name in (*filters, "ours")}
    writers = {name: lambda name=name: write_with_filter(paths[name], filters[name]) for name in filters}
    written = median_cpu_seconds({**writers, "ours": lambda: write_store_file(paths["ours"])}, 3)
    readers = {name: lambda name=name: read_with_filter(paths[name]) for name in filters}
    seconds = median_cpu_seconds({**readers, "ours": lambda: read_store_file(paths["ours"])}, 5)
    rows = {
        name: {
            "size": size(paths[name]) / raw,
            "write_mb_s": raw / written[name] / 1e6,
            "read_mb_s": raw / seconds[name] / 1e6,
        }
        for name in paths
    }
    print("| | size of raw | write MB/s | read MB/s |\n|---|---|---|---|")
    for name, row in rows.items():
        print(f"| {name} | {row['size']:.3f} | {row['write_mb_s']:.0f} | {row['read_mb_s']:.0f} |")
    return rows


def main() -> None:
    """Parse the arguments and print the results; the last line is JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=13320, help="number of clips of the keyframe store (13320)")
    parser.add_argument("--motion", type=int, default=512, help="number of clips of the motion store (512)")
    parser.add_argument("--compression", action="store_true", help="print the table of compression filters instead")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if given.compression:
            results: dict[str, object] = dict(compression(folder, min(given.motion, 64)))
        else:
            results = {"embeddings": embeddings(folder, given.clips), "frames": frames(folder, given.motion)}
    print(json.dumps(results, default=float))


if __name__ == "__main__":
    main()
