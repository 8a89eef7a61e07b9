"""Ten kinds of files that are not clips. Prediction refuses each of them with one sentence."""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
from PIL import Image

from benchmarks.scenes import texture


def _sound(path: Path, rng: np.random.Generator) -> None:
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(rng.random((1, 1024), dtype=np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux([*stream.encode(frame), *stream.encode()])


def _picture(path: Path, rng: np.random.Generator) -> None:
    Image.fromarray(texture(48 + int(rng.integers(48)), 64)).save(path, "jpeg")


def _cut(path: Path, rng: np.random.Generator, clip: bytes) -> None:
    path.write_bytes(clip[: int(rng.integers(100, 1500))])


# Functions that write a file of each kind: (path, random generator, content of a good clip).
KINDS: dict[str, Callable[[Path, np.random.Generator, bytes], object]] = {
    "missing": lambda path, rng, clip: None,
    "dangling": lambda path, rng, clip: path.symlink_to("nowhere"),
    "folder": lambda path, rng, clip: path.mkdir(),
    "empty": lambda path, rng, clip: path.touch(),
    "text": lambda path, rng, clip: path.write_text("this is not a video\n" * int(rng.integers(1, 500))),
    "noise": lambda path, rng, clip: path.write_bytes(rng.bytes(int(rng.integers(1, 50_000)))),
    "zeros": lambda path, rng, clip: path.write_bytes(bytes(int(rng.integers(1, 50_000)))),
    "cut": _cut,
    "picture": lambda path, rng, clip: _picture(path, rng),
    "sound": lambda path, rng, clip: _sound(path, rng),
}


def write(folder: Path, each: int, clip: Path) -> list[Path]:
    """Write `each` files of each kind, the same in every run; return their paths. clip is a good clip."""
    rng, content, paths = np.random.default_rng(0), clip.read_bytes(), []
    for number in range(each):
        for kind, write_file in KINDS.items():
            paths.append(folder / f"{kind}_{number}{clip.suffix}")
            write_file(paths[-1], rng, content)
    return paths
