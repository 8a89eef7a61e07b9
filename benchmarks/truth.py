"""Motion fields compared with the true motion of rendered scenes, for several codecs and frame patterns.

Columns: median error of the cells (of the larger component, in pixels per frame interval), its 90th percentile, the
share of cells with an error above 1 pixel, and the share of known cells. Only frames with vectors count.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.scenes import SAME_BYTES, SCENES, Scene, encode
from mocliplite.motion import extraction
from mocliplite.motion.field import BASE_CELL_SIZE, KIND_CODES, MISSING, Field
from mocliplite.params import Motion

PLAIN = Motion(cell_size=8, accumulate="none", reencode=None, interpolate=False, max_damaged=0.1)
# Defaults of x264 in ffmpeg: three reference frames, B-frames as references, weighted prediction.
X264_DEFAULTS = {"crf": "23", "x264-params": f"scenecut=0:b-adapt=0:{SAME_BYTES}"}
PATTERNS = [
    *((codec, {}, gop, b) for codec in ("mpeg4", "libx264") for gop in (12, 250) for b in range(4)),
    ("libx264", X264_DEFAULTS, 250, 3),
]


def errors(field: Field, scene: Scene) -> tuple[np.ndarray, float]:
    """Return the error of each known cell, in pixels per frame interval, and the share of known cells.

    Cells near the border of the picture or near a border between motions are left out.
    """
    height, width = (BASE_CELL_SIZE * (size // BASE_CELL_SIZE) for size in scene.pictures[0].shape)
    cells = scene.motion[:, :height, :width].reshape(
        len(scene.motion), height // BASE_CELL_SIZE, BASE_CELL_SIZE, width // BASE_CELL_SIZE, BASE_CELL_SIZE, 2
    )
    # A codec moves whole macroblocks: a cell is compared if everything within 16 pixels moves alike.
    truth, spread = cells.mean(axis=(2, 4)), np.ptp(cells, axis=(2, 4)).max(axis=-1)
    uniform = (spread < 0.5) & _neighbours_move_alike(truth)
    with_vectors = np.isin(field.kind, [KIND_CODES["P"], KIND_CODES["B"]])[:, None, None]
    compared = uniform & with_vectors
    compared[:, :2], compared[:, -2:], compared[:, :, :2], compared[:, :, -2:] = False, False, False, False
    vectors = field.vectors[:, : height // BASE_CELL_SIZE, : width // BASE_CELL_SIZE]
    known = compared & (vectors[..., 0] != MISSING)
    return np.abs(vectors[known] / 4 - truth[known]).max(axis=-1), known.sum() / compared.sum()


def _neighbours_move_alike(truth: np.ndarray) -> np.ndarray:
    """Whether the motions of all cells up to two cells away differ by less than 1 pixel: bool [T, rows, cols]."""
    padded = np.pad(truth, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (5, 5), axis=(1, 2))
    return np.ptp(windows, axis=(-2, -1)).max(axis=-1) < 1


def main() -> None:
    """Print the table; the last line is JSON."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    print(f"{'scene':15} {'codec':8} {'gop':>4} {'B':>2} {'median':>7} {'p90':>6} {'> 1 px':>7} {'known':>6}")
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for name, make in SCENES.items():
            scene = make()
            for codec, options, gop, b_frames in PATTERNS:
                path = encode(Path(folder, "a.mkv"), scene.pictures, codec, gop, b_frames, **options)
                error, known = errors(extraction.motion_field(path, PLAIN), scene)
                median, high, wrong = np.median(error), np.percentile(error, 90), (error > 1).mean()
                label = "x264*" if options else codec.removeprefix("lib")
                print(f"{name:15} {label:8} {gop:4} {b_frames:2} {median:7.3f} {high:6.2f} {wrong:7.1%} {known:6.0%}")
                worst = max(worst, float(median))
    print("* x264's defaults in ffmpeg")
    print(json.dumps({"worst_median_error_px": round(worst, 3)}))


if __name__ == "__main__":
    main()
