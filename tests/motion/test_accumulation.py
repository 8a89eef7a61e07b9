"""Accumulated vectors, compared with loops over pixels that follow the description in the CoViAR paper."""

from dataclasses import replace

import numpy as np
import pytest
from builders import PLAIN, sentence_of
from footage import CLIPS, EYE_MAKEUP, UT_INTERACTION, encode, moving, real
from test_motion_field import synthetic_field, vector

from mocliplite.motion import extraction
from mocliplite.motion.field import MISSING
from mocliplite.params import Reencode
from mocliplite.video.vectors import read_frames, read_vectors

PAPER = Reencode(codec="mpeg4", gop=12, bframes=0, size=(340, 256))
GOP = replace(PLAIN, accumulate="gop")


def frames_of(path, reencode):
    """Return the clip and the blocks of each frame."""
    return read_vectors(path, lambda stream: [frame.blocks for frame in stream.frames], reencode)


def since_intra_by_pixel(clip, blocks, frames):
    """Return int [T, height, width, 2] of the first frames of a clip without vectors in B-frames."""
    width, height = clip.info.width, clip.info.height
    out = []
    for frame in range(frames):
        if clip.frame_types[frame] == "I":
            # source[y][x] = (x, y): where each pixel's content was in the I-frame.
            source = [[(x, y) for x in range(width)] for y in range(height)]
        elif len(blocks[frame]):
            before = [row[:] for row in source]
            for block in blocks[frame]:
                left, top = int(block["dst_x"]) - int(block["w"]) // 2, int(block["dst_y"]) - int(block["h"]) // 2
                step_x = int(block["src_x"]) - int(block["dst_x"])
                step_y = int(block["src_y"]) - int(block["dst_y"])
                for y in range(top, top + int(block["h"])):
                    for x in range(left, left + int(block["w"])):
                        inside = 0 <= x < width and 0 <= y < height
                        if inside and 0 <= x + step_x < width and 0 <= y + step_y < height:
                            source[y][x] = before[y + step_y][x + step_x]
        moved = [[(x - source[y][x][0], y - source[y][x][1]) for x in range(width)] for y in range(height)]
        out.append(moved)
    return np.array(out)


def cells_by_loop(pixels):
    """Return the mean of each cell of 8 pixels in quarter pixels, clipped to +-127."""
    frames, height, width, _ = pixels.shape
    out = np.empty((frames, -(-height // 8), -(-width // 8), 2), dtype=int)
    for t, row, col, axis in np.ndindex(out.shape):
        cell = pixels[t, 8 * row : 8 * row + 8, 8 * col : 8 * col + 8, axis]
        out[t, row, col, axis] = np.clip(np.rint(4 * cell.sum() / cell.size), -127, 127)
    return out


@pytest.mark.parametrize(
    ("path", "reencode", "frames"),
    [
        (EYE_MAKEUP, None, 14),
        (UT_INTERACTION / "point/set2_28_15_3.avi", None, 20),
        (EYE_MAKEUP, PAPER, 14),
        (CLIPS / "pool_short.mp4", PAPER, 14),
    ],
    ids=["UCF101's own", "UT-Interaction's own", "UCF101 as in the paper", "H.264 as in the paper"],
)
def test_fields_of_real_clips_equal_a_loop_over_pixels(path, reencode, frames):
    clip, blocks = frames_of(real(path), reencode)
    field = extraction.motion_field(path, replace(GOP, reencode=reencode))
    expected = cells_by_loop(since_intra_by_pixel(clip, blocks, frames))
    with_vectors = [frame for frame in range(frames) if len(blocks[frame])]
    assert len(with_vectors) >= 4
    assert np.abs(expected[with_vectors]).max() > 8
    assert np.array_equal(field.vectors[with_vectors], expected[with_vectors])
    without_vectors = [frame for frame in range(frames) if frame not in with_vectors]
    assert (field.vectors[without_vectors] == MISSING).all()


@pytest.mark.parametrize(("codec", "b_frames"), [("mpeg4", 0), ("mpeg4", 2), ("libx264", 0), ("libx264", 2)])
def test_constant_motion_accumulates_until_the_next_i_frame(codec, b_frames, tmp_path):
    path = encode(tmp_path / "a.mkv", moving(right=2, down=-1, frames=13), codec, gop=6, b_frames=b_frames)
    frame_types, field = read_frames(path).frame_types, extraction.motion_field(path, GOP)
    since = [frame - max(i for i in range(frame + 1) if frame_types[i] == "I") for frame in range(13)]
    for frame in range(13):
        inner = field.vectors[frame, 5:-5, 5:-5].reshape(-1, 2).astype(int)
        known = inner[inner[:, 0] != MISSING]
        if frame_types[frame] == "P":
            assert np.median(known, axis=0).tolist() == [8 * since[frame], -4 * since[frame]]
    assert frame_types.count("P") >= 2


def test_a_clip_that_begins_without_an_i_frame_is_refused():
    expected = "by hand has only vectors to frames that it does not contain; replace or remove it."
    p_frame = "P", vector(-1, (4, 0), (0, 0))
    assert sentence_of(lambda: synthetic_field(p_frame, p_frame, settings=GOP)) == expected
