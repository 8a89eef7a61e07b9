"""Render and encode the sample's clips, and write its split lists as UCF101 does.

Run as `python -m sample.videos`; reads nothing, writes sample/data/clips/<Class>/v_<Class>_gGG_cCC.avi and
sample/data/lists/. The files are the same bytes in every run, with any number of workers.
"""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import av
import numpy as np

from mocliplite import files
from mocliplite.errors import run
from mocliplite.runtime.progress import progress
from sample import scene

CLIPS = Path("sample/data/clips")
LISTS = Path("sample/data/lists")
GROUPS = range(1, 9)  # clips of one group share photograph, lighting and palette
TAKES = range(1, 4)  # clips of a group
TEST_GROUPS = {1: (1, 2), 2: (3, 4), 3: (5, 6)}  # by split
WORKERS = 2
SEED = 101

FPS = 25
GOP = 12
QUANTISER = 5  # 2 is finest, 31 coarsest
# qmin and qmax pin the quantiser. bitexact and the plain transforms keep code out that depends on the processor.
CODEC = {
    "flags": "+bitexact",
    "g": str(GOP),
    "bf": "0",
    "qmin": str(QUANTISER),
    "qmax": str(QUANTISER),
    "dct": "int",
    "idct": "simple",
    "threads": "1",
}


def main(workers: int = WORKERS) -> None:
    for path, text in lists(LISTS).items():
        files.write_text(path, text)
    jobs = [(name, group, take) for name in classes() for group in GROUPS for take in TAKES]
    # Spawned, not forked: a fork copies the locks of whatever threads the libraries have started.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, spawn) as pool, progress("videos", len(jobs), "clip") as bar:
        for _ in pool.map(write_clip, *zip(*jobs, strict=True), chunksize=4):
            bar.update()


def classes() -> dict[str, tuple[str, str]]:
    """Thing and motion of each class, such as StarSpinning, in alphabetical order."""
    pairs = [(thing, motion) for thing in scene.THINGS for motion in scene.MOTIONS]
    return dict(sorted((thing.title() + motion.title(), (thing, motion)) for thing, motion in pairs))


def lists(folder: Path) -> dict[Path, str]:
    """The text of classInd.txt and of the train and test list of each split, in UCF101's format."""
    numbers = {name: number for number, name in enumerate(classes(), start=1)}
    texts = {folder / "classInd.txt": "".join(f"{number} {name}\n" for name, number in numbers.items())}
    for split, test_groups in TEST_GROUPS.items():
        train, test = [], []
        for name, number in numbers.items():
            for group in GROUPS:
                for take in TAKES:
                    clip = f"{name}/{_file(name, group, take)}"
                    if group in test_groups:
                        test.append(f"{clip}\n")
                    else:
                        train.append(f"{clip} {number}\n")
        texts[folder / f"trainlist{split:02d}.txt"] = "".join(train)
        texts[folder / f"testlist{split:02d}.txt"] = "".join(test)
    return texts


def write_clip(name: str, group: int, take: int) -> None:
    """Render and encode one clip. Its content hangs on its own name alone, not on which others there are."""
    thing, motion = classes()[name]
    look_seed = [SEED, scene.THINGS.index(thing), scene.MOTIONS.index(motion), group]
    with files.atomic_write(CLIPS / name / _file(name, group, take)) as partial:
        encode(scene.render_clip(thing, motion, look_seed, [*look_seed, take]), partial)


def encode(frames: np.ndarray, path: Path) -> None:
    """Write uint8 RGB frames [T, H, W, 3], H and W even, as MPEG-4 Part 2 in AVI: an I-frame each GOP, else P."""
    with av.open(path, "w", format="avi", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("mpeg4", rate=FPS, options=CODEC)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(yuv420(frame), format="yuv420p")))
        container.mux(stream.encode(None))


def yuv420(rgb: np.ndarray) -> np.ndarray:
    """uint8 RGB [H, W, 3] -> the planes Y, U, V one after another, uint8 [H * 3 / 2, W]; BT.601, limited range.

    In whole numbers, unlike libswscale, whose rounding differs between processors.
    """
    height, width = rgb.shape[:2]
    red, green, blue = np.moveaxis(rgb.astype(np.int32), -1, 0)
    luma = (66 * red + 129 * green + 25 * blue + 128 >> 8) + 16
    # Chroma of the mean of each 2 x 2 pixels: four times the value, hence the shift by two more.
    red, green, blue = (plane.reshape(height // 2, 2, width // 2, 2).sum(axis=(1, 3)) for plane in (red, green, blue))
    u = (-38 * red - 74 * green + 112 * blue + 512 >> 10) + 128
    v = (112 * red - 94 * green - 18 * blue + 512 >> 10) + 128
    planes = np.concatenate([luma.ravel(), u.ravel(), v.ravel()])
    return planes.astype(np.uint8).reshape(height * 3 // 2, width)


def _file(name: str, group: int, take: int) -> str:
    return f"v_{name}_g{group:02d}_c{take:02d}.avi"


if __name__ == "__main__":
    run(main)
