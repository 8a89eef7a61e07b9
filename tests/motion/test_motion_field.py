"""Motion fields of clips with known motion, and of synthetic vectors."""

import json
import re
import weakref
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from builders import CHECKOUT, PLAIN, sentence_of
from footage import CLIPS, EYE_MAKEUP, UT_INTERACTION, encode, moving, overwritten, real, texture, with_packets

from benchmarks.scenes import SAME_BYTES
from mocliplite import params, versions
from mocliplite.errors import LimitError
from mocliplite.motion import extraction
from mocliplite.motion.distances import References
from mocliplite.motion.field import KIND_CODES, MISSING
from mocliplite.video import orientation, streams
from mocliplite.video.blocks import NO_VECTORS, copied
from mocliplite.video.decoding import Frame
from mocliplite.video.streams import DEFAULT_LIMITS
from mocliplite.video.vectors import ClipFrames, FrameStream, motion_vectors

pytestmark = pytest.mark.usefixtures("folder")

CELLS_OF_8 = PLAIN
CELLS_OF_16 = replace(PLAIN, cell_size=16)
CODES = {"I": 0, "P": 1, "B": 2, "-": 3}


def field_of(path):
    return extraction.motion_field(path, CELLS_OF_8)


def kinds_of(field):
    letters = {code: letter for letter, code in CODES.items()}
    return "".join(letters[code] for code in field.kind)


def inner(field, kind):
    """Return the vectors of all frames of a kind, int [N, 2], without two cells at each border and without MISSING."""
    vectors = field.vectors[field.kind == CODES[kind], 2:-2, 2:-2].reshape(-1, 2).astype(int)
    return vectors[vectors[:, 0] != MISSING]


def unknown(field):
    return (field.vectors == MISSING).all(axis=-1)


def vector(source, motion_xy, at, size=(16, 16), scale=4):
    """Return an AVMotionVector. `at` is the upper left corner of the block; dst of FFmpeg is its centre."""
    (width, height), (left, top) = size, at
    values = {"source": source, "w": width, "h": height, "dst_x": left + width // 2, "dst_y": top + height // 2}
    block = np.zeros(1, dtype=NO_VECTORS.dtype)
    for name, value in {**values, "motion_x": motion_xy[0], "motion_y": motion_xy[1], "motion_scale": scale}.items():
        block[name] = value
    return block


def blocks_from(*vectors):
    return copied(np.concatenate([NO_VECTORS, *vectors]).astype(NO_VECTORS.dtype))


def orders_of(kinds):
    """Return the order of frames for decoding: a B-frame after the I- or P-frame that follows it."""
    b_frames_before = [len(kinds[:i]) - len(kinds[:i].rstrip("B")) for i in range(len(kinds))]
    return [i + 1 if kind == "B" else i - b_frames_before[i] for i, kind in enumerate(kinds)]


def synthetic_stream(frames, size=(32, 16)):
    """Return a FrameStream of Frames. `size` is (width, height)."""
    return FrameStream("by hand", DEFAULT_LIMITS, *size, orientation.PLAIN, len(frames), 0, iter(frames))


def synthetic_field(*frames, settings=CELLS_OF_8, size=(32, 16)):
    """Return the field of frames, (frame type, vector, ...) each."""
    kinds = [kind for kind, *_ in frames]
    blocks = [blocks_from(*vectors) for _, *vectors in frames]
    orders = orders_of("".join(kinds))
    coded = [Frame(*each) for each in zip(kinds, orders, [kind != "B" for kind in kinds], blocks, strict=True)]
    info, time = streams.Info("h264", *size, 25.0), np.arange(len(kinds)) / 25
    clip = ClipFrames(info, False, False, orientation.PLAIN, kinds, [], [], time, sum(map(len, blocks)))
    return extraction.field_of("by hand", clip, *extraction.grid_of(synthetic_stream(coded, size), settings), settings)


# Known motion


@pytest.mark.parametrize(("right", "down"), [(4, 2), (-4, -2), (3, 0), (0, -3)])
@pytest.mark.parametrize(
    ("codec", "b_frames", "kinds"),
    [
        ("mpeg4", 0, "IPPPPPPPPPPPI"),
        ("mpeg4", 2, "I--P--P--P--I"),
        ("libx264", 0, "IPPPPPPPPPPPI"),
        ("libx264", 2, "IBBPBBPBBPBPI"),
        ("mpeg2video", 2, "IBBPBBPBBPBBI"),
    ],
)
def test_motion_to_the_right_and_down_is_positive_in_quarter_pixels_per_frame(codec, b_frames, kinds, right, down):
    path = encode("a.mkv", moving(right, down), codec, gop=12, b_frames=b_frames)
    field = field_of(path)
    assert (kinds_of(field), field.vectors.dtype) == (kinds, np.int8)
    medians = {kind: np.median(inner(field, kind), axis=0).tolist() for kind in {*kinds} & {*"PB"}}
    assert medians == {kind: [4 * right, 4 * down] for kind in medians}
    assert len(inner(field, "P")) > 100


def test_vectors_over_three_frames_are_divided_by_three():
    # The GOP structure of XviD: libavcodec exports 12 pixels at half-pixel scale for P-frames, and zeros for B-frames.
    path = encode("a.avi", moving(right=4, down=0), "mpeg4", b_frames=2)
    raw = {"P": [], "B": []}
    for kind, vectors in motion_vectors(path):
        raw.setdefault(kind, []).extend(vectors["motion_x"])
    assert (np.median(raw["P"]), set(raw["B"])) == (-24, {0})
    assert np.median(inner(field_of(path), "P")[:, 0]) == 16


@pytest.mark.parametrize("flags", ["+qpel", "+mv4", "+qpel+mv4"])
def test_quarter_pixel_and_four_vector_blocks_give_the_same_motion(flags):
    field = field_of(encode("a.avi", moving(right=4, down=2), "mpeg4", flags=flags))
    assert np.median(inner(field, "P"), axis=0).tolist() == [16, 8]


@pytest.mark.parametrize("at", [(32, 0), (-16, 0), (0, 16), (0, -16)])
def test_a_block_outside_of_the_picture_is_left_out(at):
    inside = vector(-1, (-8, 0), (0, 0), (8, 8))
    field = synthetic_field(("I",), ("P", inside, vector(-1, (-8, 0), at)), ("P", inside))
    assert unknown(field)[1:].sum() == 2 * 8 - 2
    assert field.vectors[1:, 0, 0].tolist() == [[8, 0], [8, 0]]


def test_a_b_frame_that_others_refer_to_is_their_nearest_reference():
    pyramid = {"x264-params": f"b-adapt=0:b-pyramid=normal:weightb=0:weightp=0:scenecut=0:{SAME_BYTES}"}
    path = encode("a.mp4", moving(right=4, down=2), "libx264", b_frames=3, **pyramid)
    field = field_of(path)
    assert kinds_of(field).startswith("IBBBP")
    for frame in range(1, 5):
        vectors = field.vectors[frame, 2:-2, 2:-2].reshape(-1, 2)
        assert np.median(vectors[vectors[:, 0] != MISSING], axis=0).tolist() == [16, 8]


def test_i_frames_are_missing_and_frames_at_rest_are_zero():
    field = field_of(encode("a.avi", [texture(144, 176)] * 5, gop=4))
    assert kinds_of(field) == "IPPPI"
    assert (field.vectors[[0, 4]] == MISSING).all()
    assert (field.vectors[1:4] == 0).all()


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
def test_intra_blocks_are_missing_and_not_zero(codec):
    rest, changed = texture(144, 176), texture(144, 176)
    changed[48:112, 64:128] = np.random.default_rng(1).integers(0, 256, (64, 64))
    field = field_of(encode("a.mkv", [rest, changed], codec))
    intra = np.zeros((18, 22), dtype=bool)
    intra[6:14, 8:16] = True
    assert unknown(field)[1][intra].mean() > 0.5
    assert (field.vectors[1][~intra] == 0).mean() > 0.9


@pytest.mark.parametrize(("right", "expected"), [(40, 127), (-40, -127)])
def test_components_beyond_the_limit_are_clipped_and_counted(right, expected):
    path = encode("a.avi", moving(right, down=0, frames=5), "mpeg4")
    field = field_of(path)
    components = np.concatenate(
        [vectors[["motion_x", "motion_y"]].tolist() for _, vectors in motion_vectors(path) if len(vectors)]
    )
    # Half pixels: 2 x 40 is 160 quarters; 127 quarters are the most.
    assert field.clipped == (np.abs(2 * components) > 127).sum() > 100
    assert np.median(inner(field, "P")[:, 0]) == expected


def test_a_slow_clip_has_no_clipped_component():
    assert field_of(encode("a.avi", moving(right=2, down=1))).clipped == 0


# Shapes


@pytest.mark.parametrize(
    ("codec", "size", "cells"),
    [
        ("mpeg4", (133, 171), (17, 22)),
        ("mpeg4", (136, 168), (17, 21)),
        ("libx264", (134, 170), (17, 22)),
        ("mpeg4", (16, 24), (2, 3)),
    ],
)
def test_incomplete_cells_at_the_border_are_included(codec, size, cells):
    field = field_of(encode("a.mkv", moving(right=1, down=0, frames=4, size=size), codec))
    assert field.vectors.shape == (4, *cells, 2)
    assert (field.height, field.width) == size
    assert not unknown(field)[1:, -1, -1].all()


def test_cells_of_16_are_the_mean_of_the_known_cells_of_8():
    path = encode("a.mkv", moving(right=3, down=2, size=(136, 168)), "libx264", b_frames=2)
    fine, coarse = (extraction.motion_field(path, cells).vectors for cells in (CELLS_OF_8, CELLS_OF_16))
    expected = np.full((13, 9, 11, 2), MISSING)
    for place in np.ndindex(expected.shape):
        t, row, col, axis = place
        four = fine[t, 2 * row : 2 * row + 2, 2 * col : 2 * col + 2, axis]
        if (four != MISSING).any():
            expected[place] = round(four[four != MISSING].mean())
    assert coarse.dtype == np.int8
    assert np.array_equal(coarse, expected)


def test_the_mean_of_cells_leaves_out_missing_cells():
    blocks = vector(-1, (-8, 0), (0, 0), (8, 8)), vector(-1, (-16, 4), (8, 8), (8, 8))
    field = synthetic_field(["I"], ["P", *blocks], settings=CELLS_OF_16)
    assert field.vectors[1].tolist() == [[[12, -2], [MISSING, MISSING]]]


# Distances


@pytest.mark.parametrize(
    ("kinds", "past", "future"),
    [
        ("IPPP", [0, 1, 1, 1], [0, 0, 0, 0]),
        ("IBBP", [0, 1, 2, 3], [0, 2, 1, 0]),
        ("IBBPBBP", [0, 1, 2, 3, 1, 2, 3], [0, 2, 1, 0, 2, 1, 0]),
        ("IPBI", [0, 1, 1, 2], [0, 0, 1, 0]),
        ("IPBB", [0, 1, 1, 2], [0, 0, 0, 0]),
        ("BBIP", [0, 0, 0, 1], [2, 1, 0, 0]),
        ("BB", [0, 0], [0, 0]),
        ("I", [0], [0]),
    ],
)
def test_references_are_the_nearest_i_and_p_frames_on_either_side(kinds, past, future):
    assert distances_of(orders_of(kinds), [kind != "B" for kind in kinds]) == [past, future]


def test_a_reference_was_decoded_before():
    # I0 P4 B2 B1 B3, shown by number; B2 is a reference.
    expected = [[0, 1, 2, 1, 4], [0, 1, 2, 1, 0]]
    assert distances_of([0, 3, 2, 4, 1], [True, False, True, False, True]) == expected


def test_references_found_while_decoding_are_those_of_the_whole_clip():
    rng = np.random.default_rng(0)
    for _ in range(50):
        # Up to four frames are displayed after frames that were decoded later, and a fifth of the packets has no frame.
        orders = np.argsort(np.arange(60) + rng.uniform(0, 5, 60))[rng.random(60) < 0.8].tolist()
        references = (rng.random(len(orders)) < 0.6).tolist()
        expected = [[0] * len(orders), [0] * len(orders)]
        for index, order in enumerate(orders):
            before = [i for i, other in enumerate(orders) if references[i] and other < order]
            expected[0][index] = index - max([i for i in before if i < index], default=index)
            expected[1][index] = min([i for i in before if i > index], default=index) - index
        assert distances_of(orders, references) == expected


def test_only_references_of_frames_still_to_come_are_remembered():
    # I0 P8 B4 B2 B1 B3 B6 B5 B7, shown by number, again and again; a packet in between has no frame.
    group, references, remembered = [0, 4, 3, 5, 2, 7, 6, 8, 1], References(), []
    for start in range(0, 1000, 10):
        for order in group:
            references.add(start + order, order in (0, 1, 2, 3, 6))
            remembered.append(len(references.past))
    assert 2 < max(remembered) < 40


def distances_of(orders, references):
    """Return the distances from every frame to its references, (past, future), 0 for none, seen in a field."""
    # 60 quarter pixels, divided by the distance.
    blocks = blocks_from(vector(-1, (-60, 0), (0, 0)), vector(1, (60, 0), (16, 0)))
    frames = [Frame("B", *each, blocks) for each in zip(orders, references, strict=True)]
    grid, _ = extraction.grid_of(synthetic_stream(frames), CELLS_OF_8)
    quarters = grid[:, 0, ::2, 0].astype(int)
    return np.where(quarters == MISSING, 0, np.rint(60 / quarters)).astype(int).T.tolist()


@pytest.mark.parametrize(("settings", "most"), [(CELLS_OF_8, 70), (replace(PLAIN, accumulate="gop"), 2)])
@pytest.mark.parametrize("kinds", ["IPPPPPPPPP", "IBBPBBPBBP"])
def test_vectors_are_dropped_while_a_clip_is_decoded(kinds, settings, most):
    kinds, memories, numbers = kinds * 30, [], []

    def frames():
        for kind, order in zip(kinds, orders_of(kinds), strict=True):
            blocks = blocks_from(vector(-1, (4, 0), (0, 0)), vector(1, (4, 0), (16, 0)))
            memories.append(weakref.ref(blocks))
            numbers.append(sum(memory() is not None for memory in memories))
            yield Frame(kind, order, kind != "B", blocks)

    grid, _ = extraction.grid_of(replace(synthetic_stream(kinds), frames=frames()), settings)
    assert (len(grid), len(numbers)) == (300, 300)
    assert max(numbers) <= most


def test_a_field_beyond_the_memory_limit_is_refused():
    frames = [Frame("I", index, True, NO_VECTORS) for index in range(70)]
    # 128 KiB per frame, of which 64 are written at a time; all packets would need more than any machine has.
    stream = synthetic_stream(frames, size=(2048, 2048))
    stream = replace(stream, limits=streams.Limits(memory=1), packets=1 << 40)
    for settings, count in ((CELLS_OF_8, 64), (replace(PLAIN, accumulate="gop"), 9)):
        with pytest.raises(LimitError, match=rf"compute\.max_memory, 1 MiB, after {count} frames; raise the limit"):
            extraction.grid_of(replace(stream, frames=iter(frames)), settings)


def test_a_stream_without_a_frame_has_an_empty_grid():
    """Its size is 0 x 0: nothing was decoded from its packets."""
    grid, clipped = extraction.grid_of(synthetic_stream([], size=(0, 0)), CELLS_OF_8)
    assert (len(grid), clipped) == (0, {})


# Synthetic vectors, on 2 x 4 cells


def test_a_block_fills_only_its_own_cells():
    blocks = vector(-1, (-4, 0), (0, 0)), vector(-1, (-8, 0), (16, 0), (16, 8)), vector(-1, (-12, 0), (24, 8), (8, 8))
    field = synthetic_field(["I"], ["P", *blocks])
    assert field.vectors[1, ..., 0].tolist() == [[4, 4, 8, 8], [4, 4, MISSING, 12]]
    assert field.vectors[1, ..., 1].tolist() == [[0, 0, 0, 0], [0, 0, MISSING, 0]]


def test_a_block_8_pixels_wide_and_16_high_fills_two_cells():
    field = synthetic_field(["I"], ["P", vector(-1, (0, -20), (8, 0), (8, 16))])
    assert field.vectors[1, ..., 1].tolist() == [[MISSING, 20, MISSING, MISSING]] * 2


def test_a_block_beyond_the_border_fills_the_cells_inside():
    field = synthetic_field(["I"], ["P", vector(-1, (-4, 0), (16, 0))], size=(24, 8))
    assert field.vectors[1, ..., 0].tolist() == [[MISSING, MISSING, 4]]


def test_vectors_to_the_future_keep_their_sign_and_are_divided_by_the_distance():
    b_frame = "B", vector(-1, (-8, 4), (0, 0)), vector(1, (16, -8), (16, 0))
    field = synthetic_field(["I"], b_frame, ["B"], ["P", vector(-1, (-24, 12), (0, 0))])
    assert field.vectors[1, 0].tolist() == [[8, -4], [8, -4], [8, -4], [8, -4]]
    assert field.vectors[3, 0, 0].tolist() == [8, -4]


@pytest.mark.parametrize("direction", [1, -1])
def test_of_two_vectors_of_a_block_the_one_to_the_past_is_used(direction):
    both = [vector(-1, (-8, 0), (0, 0)), vector(1, (40, 0), (0, 0))][::direction]
    assert synthetic_field(["I"], ["B", *both], ["P"]).vectors[1, 0, 0].tolist() == [8, 0]


def test_a_vector_to_a_frame_that_does_not_exist_is_ignored():
    field = synthetic_field(["I"], ["P", vector(-1, (-8, 0), (0, 0))], ["B", vector(1, (8, 0), (0, 0))])
    assert kinds_of(field) == "IP-"
    assert (field.vectors[2] == MISSING).all()


def test_vectors_are_rounded_to_quarter_pixels():
    # 4, 5 and 7 quarters over three frames are 1.33, 1.67 and 2.33 a frame.
    blocks = [vector(-1, (-x, x), (8 * i, 0), (8, 8)) for i, x in enumerate((4, 5, 7))]
    field = synthetic_field(["I"], ["B"], ["B"], ["P", *blocks])
    assert field.vectors[3, 0, :3].tolist() == [[1, -1], [2, -2], [2, -2]]


# Comparison with a loop over single vectors


def field_by_loop(path):
    head, frames = streams.info(path), list(motion_vectors(path))
    anchors = [i for i, (kind, _) in enumerate(frames) if kind != "B"]
    names = "source", "w", "h", "dst_x", "dst_y", "motion_x", "motion_y", "motion_scale"
    out = np.full((len(frames), (head.height + 7) // 8, (head.width + 7) // 8, 2), -128)
    for t, (kind, vectors) in enumerate(frames):
        if (kind, head.codec) == ("B", "mpeg4"):
            continue
        steps = {
            -1: t - max([i for i in anchors if i < t], default=t),
            1: min([i for i in anchors if i > t], default=t) - t,
        }
        # Vectors to the past are last, so that they overwrite the others.
        for source, w, h, x, y, motion_x, motion_y, scale in sorted(vectors[[*names]].tolist(), key=lambda v: -v[0]):
            for top in range(y - h // 2, y + h // 2, 8):
                for left in range(x - w // 2, x + w // 2, 8):
                    if steps[source] and 0 <= top < head.height and 0 <= left < head.width:
                        quarters = [4 * part / scale * source / steps[source] for part in (motion_x, motion_y)]
                        out[t, top // 8, left // 8] = np.clip(np.round(quarters), -127, 127)
    return out


@pytest.mark.parametrize(
    "path",
    [EYE_MAKEUP, CLIPS / "pool_short.mp4", UT_INTERACTION / "point/set2_28_15_3.avi"],
    ids=lambda path: path.stem,
)
def test_fields_of_real_footage_equal_a_loop_over_vectors(path):
    field = field_of(real(path))
    expected = field_by_loop(path)
    assert (expected != MISSING).mean() > 0.2
    assert np.array_equal(field.vectors, expected)


@pytest.mark.parametrize(
    ("codec", "b_frames", "size"), [("mpeg4", 0, (133, 171)), ("mpeg4", 2, (133, 171)), ("libx264", 2, (134, 170))]
)
def test_fields_of_rendered_footage_equal_a_loop_over_vectors(codec, b_frames, size):
    path = encode("a.mkv", moving(right=-5, down=3, size=size), codec, b_frames=b_frames, flags="+mv4")
    expected = field_by_loop(path)
    assert (expected != MISSING).mean() > 0.2
    assert np.array_equal(field_of(path).vectors, expected)


# Clips without vectors


def test_two_frames_are_enough():
    field = field_of(encode("a.avi", moving(frames=2)))
    assert (kinds_of(field), field.fps, field.codec) == ("IP", 25.0, "mpeg4")


AUTO = "set motion.reencode: auto to re-encode such clips in memory, or re-encode it"


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
def test_a_clip_of_i_frames_is_refused(codec):
    encode("a.mp4", moving(frames=5), codec, gop=1)
    expected = f"a.mp4: it has only I-frames, which have no motion vectors; {AUTO} with P-frames."
    assert sentence_of(field_of, "a.mp4") == expected


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
def test_a_clip_of_one_frame_is_refused(codec):
    encode("a.mp4", moving(frames=1), codec)
    expected = "a.mp4: it has one frame, but motion needs two; replace it with a video or remove it."
    assert sentence_of(field_of, "a.mp4") == expected


@pytest.mark.parametrize(("codec", "name"), [("libx265", "hevc"), ("libvpx-vp9", "vp9"), ("libsvtav1", "av1")])
def test_a_codec_without_vectors_is_refused_by_name(codec, name):
    encode("a.mkv", moving(frames=3, size=(96, 128)), codec)
    assert (
        sentence_of(field_of, "a.mkv") == f"a.mkv: codec {name} exports no motion vectors; {AUTO} as H.264 or MPEG-4."
    )


def test_a_clip_without_the_references_of_its_vectors_is_refused():
    expected = "by hand has only vectors to frames that it does not contain; replace or remove it."
    assert sentence_of(synthetic_field, ["P", vector(-1, (4, 0), (0, 0))]) == expected


def test_a_clip_without_frames_is_refused():
    with_packets(encode("whole.avi", moving(frames=2)), "a.avi", start=2)
    assert sentence_of(field_of, "a.avi") == "a.avi has no frame that can be decoded; replace or remove it."


def test_a_clip_damaged_beyond_max_damaged_is_refused():
    path = Path(encode("whole.mp4", moving(), "libx264"))
    start, end = (path.read_bytes().index(tag) for tag in (b"mdat", b"moov"))
    overwritten(path, "a.mp4", (start + end) // 2, end - 4)
    assert re.fullmatch(
        r"a\.mp4 is damaged: [4-9]\d% of its frames cannot be decoded, motion\.max_damaged is 10%; "
        r"replace or remove it, or raise motion\.max_damaged\.",
        sentence_of(field_of, "a.mp4"),
    )


def test_the_remaining_frames_of_a_truncated_clip_are_used():
    field = field_of(with_packets(encode("whole.avi", moving()), "a.avi", start=0, stop=7))
    assert kinds_of(field) == "IPPPPPP"


def test_kind_codes_are_fixed():
    assert KIND_CODES == {"I": 0, "P": 1, "B": 2, "missing": 3}


@pytest.mark.parametrize("file", ["params.yaml", "configs/ucf101.yaml"])
def test_settings_recorded_in_a_store_are_restored(file):
    settings = params.load(CHECKOUT / file).motion
    stored = json.loads(json.dumps({**asdict(settings), "version": versions.MOTION}))
    assert extraction.settings_of(stored) == settings


def test_a_frame_whose_future_reference_is_lost_does_not_wait_for_the_end():
    both = blocks_from(vector(-1, (4, 0), (8, 8)), vector(1, (-4, 0), (24, 8)))
    # The future reference of the second frame, of order 1, is never displayed.
    frames = [Frame("I", 0, True, NO_VECTORS), Frame("B", 2, False, both)]
    frames += [Frame("P", order, True, blocks_from(vector(-1, (4, 0), (8, 8)))) for order in range(3, 103)]
    stream = synthetic_stream(frames)
    emitted = [
        number
        for numbers, _, _ in extraction.motion_batches(stream, CELLS_OF_8, lambda: 0, frames=1)
        for number in numbers
    ]
    assert sorted(emitted) == list(range(102))
    assert emitted.index(1) < 40
