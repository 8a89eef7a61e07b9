"""Vectors of real footage equal those of motion-vector-extractor, which has its own build of FFmpeg."""

import numpy as np
import pytest
from footage import CLIPS, EYE_MAKEUP, UT_INTERACTION, real

from mocliplite.video.vectors import motion_vectors

mvextractor = pytest.importorskip(
    "mvextractor.videocap", reason="motion-vector-extractor has no build for this machine"
)

# The ten columns of motion-vector-extractor.
COLUMNS = ["source", "w", "h", "src_x", "src_y", "dst_x", "dst_y", "motion_x", "motion_y", "motion_scale"]
FILES = [
    *(CLIPS / name for name in ("arm_wrestling.mp4", "pool_short.mp4", "v_ApplyEyeMakeup_packed_b.avi")),
    *(
        UT_INTERACTION / name
        for name in (
            *("handshake/set1_17_3_0.avi", "handshake/set2_25_15_0.avi", "hug/set1_2_1_1.avi", "hug/set2_49_19_1.avi"),
            *("kick/set1_9_2_2.avi", "kick/set1_59_10_2.avi", "point/set1_11_2_3.avi", "point/set2_28_15_3.avi"),
            *("punch/set2_40_17_4.avi", "push/set1_5_1_5.avi"),
        )
    ),
]


def read_by_peer(path):
    """Return (frame type, int32 [V, 10]) of every frame."""
    capture = mvextractor.VideoCap()
    assert capture.open(str(path))
    frames = []
    while True:
        more, _, vectors, kind = capture.read()
        if not more:
            return frames
        frames.append((kind, vectors))


def differing(ours, theirs, columns, kinds):
    """Return the frames of these types that differ in one of these columns."""
    positions = [COLUMNS.index(name) for name in columns]
    return [
        frame
        for frame, ((kind, mine), (_, other)) in enumerate(zip(ours, theirs, strict=True))
        if kind in kinds and not np.array_equal(np.stack([mine[name] for name in columns], axis=1), other[:, positions])
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_frame_types_and_vectors_equal_those_of_the_peer(path):
    theirs = read_by_peer(real(path))
    ours = list(motion_vectors(path))
    assert [kind for kind, _ in ours] == [kind for kind, _ in theirs]
    assert sum(len(vectors) for _, vectors in theirs) > 1000
    if path.suffix == ".mp4":
        # The peer decodes in threads, which sometimes changes vectors of a B-frame of H.264, a different one per run.
        different = set(differing(ours, theirs, COLUMNS, "IPB"))
        for _ in range(9):
            different &= set(differing(ours, read_by_peer(path), COLUMNS, "IPB")) if different else set()
        assert different == set()
        return
    # In B-frames of MPEG-4, the blocks are the same. libavcodec does not set the values: they are 0 in this build, and
    # those of an earlier P-frame in the older build of the peer.
    assert differing(ours, theirs, COLUMNS, "IP") == []
    assert differing(ours, theirs, ["source", "w", "h", "dst_x", "dst_y", "motion_scale"], "B") == []
    values = np.concatenate([vectors for kind, vectors in ours if kind == "B"])
    assert not np.any([values["motion_x"], values["motion_y"]])


def test_values_of_the_peer_in_b_frames_of_mpeg4_are_those_of_an_earlier_p_frame():
    theirs = read_by_peer(real(EYE_MAKEUP))
    different = differing(list(motion_vectors(EYE_MAKEUP)), theirs, ["motion_x", "motion_y"], "B")
    assert len(different) > 40
    shares = []
    for frame in different:
        blocks = theirs[frame][1].tolist()
        moving = {(x - w // 2, y - h // 2): tuple(v) for _, w, h, _, _, x, y, *v, _ in blocks if any(v)}
        earlier = [by_cell(vectors).items() for kind, vectors in theirs[:frame] if kind == "P"]
        shares.append(max(len(moving.items() & cells) for cells in earlier) / len(moving))
    assert np.mean(shares) > 0.95


def by_cell(vectors):
    """Return (motion_x, motion_y) of each cell of 8 x 8 pixels."""
    cells = {}
    for _, w, h, _, _, x, y, *motion, _ in vectors.tolist():
        for top in range(y - h // 2, y + h // 2, 8):
            for left in range(x - w // 2, x + w // 2, 8):
                cells[left, top] = tuple(motion)
    return cells
