"""Render and encode the sample's clips, and write its split lists in UCF101's format.

Run as `python -m sample.videos`; reads nothing, writes sample/data/clips/<Class>/v_<Class>_gGG_cCC.avi and
sample/data/lists/. Every run writes the same bytes, with any number of workers.
"""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import av
import numpy as np

from mocliplite import files
from mocliplite.errors import UserError
from mocliplite.runtime.progress import progress
from sample import scene
from stages import run_stage

CLIPS = Path("sample/data/clips")
LISTS = Path("sample/data/lists")
GROUPS = range(1, 9)  # clips of one group have the same photograph, lighting and palette
CLIPS_OF_GROUP = range(1, 4)
TEST_GROUPS = {1: (1, 2), 2: (3, 4), 3: (5, 6)}  # by split
WORKERS = 2
SEED = 101

FPS = 25
GOP = 12
QUANTISER = 5  # from 2, best quality, to 31
# qmin and qmax fix the quantiser. bitexact and the integer transforms avoid code that depends on the processor.
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
    refuse_other_files(CLIPS)
    for path, text in lists(LISTS).items():
        files.write_text(path, text)
    jobs = _jobs()
    # Not forked: a fork copies the locks of threads that libraries have started.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, spawn) as pool, progress("videos", len(jobs), "clip") as bar:
        for _ in pool.map(write_clip, *zip(*jobs, strict=True), chunksize=4):
            bar.update()


def refuse_other_files(folder: Path) -> None:
    """Raise UserError if the folder of the clips has a file that is not one of them, except those of killed runs."""
    own = {folder / name / _file(name, group, number) for name, group, number in _jobs()}
    for inner in (path for path in folder.glob("*") if path.is_dir()):
        files.remove_partial_files(inner)
    other = sorted(path for path in folder.rglob("*") if path not in own and not path.is_dir())
    if other:
        raise UserError(
            f"{other[0]} is not a clip of the sample ({len(other)} such files); move it to a folder of your own, with "
            "one folder per class, and set dataset.root in params.yaml to that folder."
        )


def classes() -> dict[str, tuple[str, str]]:
    """Return object and motion of each class, such as StarSpinning, in alphabetical order."""
    pairs = [(name, motion) for name in scene.OBJECTS for motion in scene.MOTIONS]
    return dict(sorted((name.title() + motion.title(), (name, motion)) for name, motion in pairs))


def lists(folder: Path) -> dict[Path, str]:
    """Return the text of classInd.txt and of the train and test list of each split, in UCF101's format."""
    indices = {name: index for index, name in enumerate(classes(), start=1)}
    texts = {folder / "classInd.txt": "".join(f"{index} {name}\n" for name, index in indices.items())}
    for split, test_groups in TEST_GROUPS.items():
        train, test = [], []
        for name, index in indices.items():
            for group in GROUPS:
                for number in CLIPS_OF_GROUP:
                    clip = f"{name}/{_file(name, group, number)}"
                    if group in test_groups:
                        test.append(f"{clip}\n")
                    else:
                        train.append(f"{clip} {index}\n")
        texts[folder / f"trainlist{split:02d}.txt"] = "".join(train)
        texts[folder / f"testlist{split:02d}.txt"] = "".join(test)
    return texts


def write_clip(name: str, group: int, number: int) -> None:
    """Render and encode one clip. Its content depends on the arguments alone, not on the other clips."""
    object_name, motion = classes()[name]
    appearance_seed = [SEED, scene.OBJECTS.index(object_name), scene.MOTIONS.index(motion), group]
    with files.atomic_write(CLIPS / name / _file(name, group, number)) as partial:
        encode(scene.render_clip(object_name, motion, appearance_seed, [*appearance_seed, number]), partial)


def encode(frames: np.ndarray, path: Path) -> None:
    """Write uint8 RGB frames [T, H, W, 3], H and W even, as MPEG-4 Part 2 in AVI: I-frames every GOP frames, else P."""
    with av.open(path, "w", format="avi", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("mpeg4", rate=FPS, options=CODEC)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(yuv420(frame), format="yuv420p")))
        container.mux(stream.encode(None))


def yuv420(rgb: np.ndarray) -> np.ndarray:
    """Convert uint8 RGB [H, W, 3] to the planes Y, U, V one after another, uint8 [H * 3 / 2, W]; BT.601, limited range.

    Integer arithmetic gives the same bytes everywhere; the rounding of libswscale differs between processors.
    """
    height, width = rgb.shape[:2]
    red, green, blue = np.moveaxis(rgb.astype(np.int32), -1, 0)
    luma = (66 * red + 129 * green + 25 * blue + 128 >> 8) + 16
    # Chroma is averaged over 2 x 2 pixels. The sum is four times the mean, hence the shift by two more bits.
    red, green, blue = (plane.reshape(height // 2, 2, width // 2, 2).sum(axis=(1, 3)) for plane in (red, green, blue))
    u = (-38 * red - 74 * green + 112 * blue + 512 >> 10) + 128
    v = (112 * red - 94 * green - 18 * blue + 512 >> 10) + 128
    planes = np.concatenate([luma.ravel(), u.ravel(), v.ravel()])
    return planes.astype(np.uint8).reshape(height * 3 // 2, width)


def _jobs() -> list[tuple[str, int, int]]:
    """Return class, group and number of every clip."""
    return [(name, group, number) for name in classes() for group in GROUPS for number in CLIPS_OF_GROUP]


def _file(name: str, group: int, number: int) -> str:
    return f"v_{name}_g{group:02d}_c{number:02d}.avi"


if __name__ == "__main__":
    run_stage("videos", main, graph="sample/dvc.yaml")
