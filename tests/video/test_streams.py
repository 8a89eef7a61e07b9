"""Reading clips: frame types and vectors as exported by libavcodec, keyframes, and errors for bad files."""

import re
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import PictureType
from builders import sentence_of
from footage import EYE_MAKEUP, REAL, encode, moving, overwritten, real, sound, with_packets

from mocliplite.video import keyframes, streams
from mocliplite.video.vectors import motion_vectors

pytestmark = pytest.mark.usefixtures("folder")

# Each of these functions reads another part of a file.
READERS = [
    streams.info,
    lambda path: list(motion_vectors(path)),
    lambda path: keyframes.read_keyframes(path, 1, "middle"),
]


def frame_types_of(path):
    return "".join(kind for kind, _ in motion_vectors(path))


def exported(path):
    """Yield (frame type, vectors) of each frame by PyAV alone, with a full decode."""
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        context.thread_type, context.options = "NONE", {"flags2": "+export_mvs"}
        for frame in container.decode(video=0):
            side = frame.side_data.get("MOTION_VECTORS")
            yield PictureType(frame.pict_type).name, None if side is None else side.to_ndarray()


def decoded(path):
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def fields_that_differ(frames, others):
    ours, theirs = (
        np.concatenate([vectors for _, vectors in part if vectors is not None]) for part in (frames, others)
    )
    assert len(ours) > 0
    return [name for name in theirs.dtype.names if not np.array_equal(ours[name], theirs[name])]


# Motion vectors


@pytest.mark.parametrize(
    ("codec", "b_frames", "wanted"),
    [
        ("mpeg4", 0, "IPPPPPPPPPPPIPPPPPPPPPPPI"),
        ("libx264", 0, "IPPPPPPPPPPPIPPPPPPPPPPPI"),
        ("mpeg4", 2, "IBBPBBPBBPBBIBBPBBPBBPBBI"),
        ("libx264", 2, "IBBPBBPBBPBPIBBPBBPBBPBPI"),
    ],
)
def test_frame_types_are_in_display_order_with_an_i_frame_per_gop(codec, b_frames, wanted):
    assert frame_types_of(encode("a.mp4", moving(frames=25), codec, gop=12, b_frames=b_frames)) == wanted


def test_a_clip_of_ucf101_has_one_i_frame_and_two_b_frames_in_three():
    frame_types = frame_types_of(real(EYE_MAKEUP))
    assert (len(frame_types), Counter(frame_types)) == (164, {"I": 1, "P": 55, "B": 108})


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.stem)
def test_vectors_equal_those_of_a_full_decode(path):
    ours, theirs = list(motion_vectors(real(path))), list(exported(path))
    assert [(kind, len(vectors)) for kind, vectors in ours] == [
        (kind, 0 if vectors is None else len(vectors)) for kind, vectors in theirs
    ]
    assert fields_that_differ(ours, theirs) == []


@pytest.mark.parametrize("path", REAL[1:4], ids=lambda path: path.stem)
def test_vectors_are_the_same_in_every_run(path):
    first, second = list(motion_vectors(real(path))), list(motion_vectors(path))
    assert [kind for kind, _ in first] == [kind for kind, _ in second]
    assert fields_that_differ(first, second) == []


def test_a_frame_without_vectors_has_an_empty_array_of_pyavs_type():
    path = encode("a.mp4", moving(frames=3))
    (_, none), (_, some), _ = motion_vectors(path)
    (_, nothing), (_, theirs), _ = exported(path)
    assert (len(none), nothing, len(some) > 0) == (0, None, True)
    assert none.dtype == theirs.dtype


@pytest.mark.parametrize("name", ["12:30.mp4", "concat:a.mp4", "50% #1?.mp4", "-", "naïve café.mp4"])
def test_a_file_name_is_not_parsed_as_a_url_or_option(name):
    encode("a.mp4", moving(frames=3), "libx264")
    Path("a.mp4").rename(name)
    assert frame_types_of(name) == "IPP"


def test_the_codec_is_named_after_the_format_and_not_the_decoder():
    # FFmpeg decodes AV1 with libdav1d.
    clips = [
        encode(f"{codec}.mkv", moving(frames=2, size=(96, 128)), codec) for codec in ("libx264", "mpeg4", "libsvtav1")
    ]
    assert [streams.info(clip).codec for clip in clips] == ["h264", "mpeg4", "av1"]


def test_info_has_size_and_frame_rate():
    assert streams.info(encode("a.avi", moving(frames=2, size=(133, 171)))) == streams.Info("mpeg4", 171, 133, 25.0)


# Keyframes


@pytest.mark.parametrize(
    ("frames", "count", "wanted"), [(13, 1, [6]), (13, 3, [2, 6, 10]), (12, 3, [2, 6, 10]), (3, 3, [0, 1, 2])]
)
def test_middle_selects_the_centres_of_equal_segments(frames, count, wanted):
    path = encode("a.mp4", moving(frames=frames), "libx264", b_frames=2)
    found = keyframes.read_keyframes(path, count, "middle")
    assert [(frame.frame, frame.time) for frame in found] == [(index, index / 25) for index in wanted]


@pytest.mark.parametrize(("count", "wanted"), [(1, [12]), (3, [0, 12, 24]), (5, [0, 12, 12, 24, 24])])
def test_key_selects_the_nearest_i_frames(count, wanted):
    # I-frames are 0, 12 and 24; the centres are 15; 5, 15, 25; 3, 9, 15, 21, 27.
    path = encode("a.mp4", moving(frames=30), gop=12)
    assert [frame.frame for frame in keyframes.read_keyframes(path, count, "key")] == wanted


@pytest.mark.parametrize(
    ("codec", "b_frames"), [("mpeg4", 0), ("mpeg4", 2), ("libx264", 0), ("libx264", 2), ("libx265", 2)]
)
@pytest.mark.parametrize("pick", ["middle", "key"])
def test_a_keyframe_equals_the_frame_of_a_full_decode(codec, b_frames, pick):
    pictures = moving(frames=20)
    path = encode("a.mp4", pictures, codec, b_frames=b_frames)
    found = keyframes.read_keyframes(path, 2, pick)
    shown = [decoded(path)[keyframe.frame] for keyframe in found]
    assert [keyframe.image.tobytes() for keyframe in found] == [picture.tobytes() for picture in shown]
    drawn = np.stack([pictures[keyframe.frame] for keyframe in found])[..., None]
    assert np.abs(shown - drawn.astype(int)).mean() < 3  # grey levels; the picture before is 22 away


@pytest.mark.parametrize("path", [EYE_MAKEUP, *REAL[2:4]], ids=lambda path: path.stem)
def test_a_keyframe_of_real_footage_equals_the_frame_of_a_full_decode(path):
    pictures = decoded(real(path))
    (found,) = keyframes.read_keyframes(path, 1, "middle")
    assert found.frame == len(pictures) // 2
    assert np.array_equal(found.image, pictures[found.frame])


def test_more_keyframes_than_frames_are_refused():
    encode("a.mp4", moving(frames=2))
    wanted = "a.mp4 has 2 frames, but encoder.frames is 3; lower encoder.frames or remove the clip."
    assert sentence_of(keyframes.read_keyframes, "a.mp4", 3, "middle") == wanted


def test_a_clip_without_i_frames_is_refused_for_key():
    with_packets(encode("whole.avi", moving(frames=5)), "a.avi", start=1)
    assert frame_types_of("a.avi") == "PPPP"
    assert (
        sentence_of(keyframes.read_keyframes, "a.avi", 1, "key") == "a.avi has no I-frame; set encoder.pick to middle."
    )


# Bad files


def write_bytes(name, content):
    Path(name).write_bytes(content)


def cut(name, length):
    """Write a truncated clip, as from an interrupted download."""
    write_bytes(name, Path(encode(f"whole_{name}", moving())).read_bytes()[:length])


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("text.mp4", lambda name: write_bytes(name, b"This is a note about a video.\n" * 20)),
        ("empty.mp4", lambda name: write_bytes(name, b"")),
        ("noise.avi", lambda name: write_bytes(name, np.random.default_rng(0).bytes(50_000))),
        ("page.mp4", lambda name: write_bytes(name, b"<!doctype html><title>404 Not Found</title>")),
        ("cut.mp4", lambda name: cut(name, 9_000)),
        ("cut.avi", lambda name: cut(name, 300)),
    ],
)
@pytest.mark.parametrize("read", READERS, ids=["info", "vectors", "keyframes"])
def test_a_file_that_is_not_a_video_is_refused(name, make, read):
    make(name)
    assert re.fullmatch(
        rf"{name} cannot be decoded as video \([^()\n]+\); replace or remove it\.", sentence_of(read, name)
    )


@pytest.mark.parametrize("read", READERS, ids=["info", "vectors", "keyframes"])
@pytest.mark.parametrize(("name", "codec"), [("a.m4a", "aac"), ("a.wav", "pcm_s16le"), ("a.mp4", "aac")])
def test_an_audio_file_is_refused(name, codec, read):
    sound(name, codec)
    assert sentence_of(read, name) == f"{name} has no video stream; replace it with a video or remove it."


@pytest.mark.parametrize("read", READERS, ids=["info", "vectors", "keyframes"])
@pytest.mark.parametrize("name", ["missing.mp4", "directory.mp4", "link.mp4"])
def test_a_path_that_is_not_a_file_is_refused(name, read):
    Path("directory.mp4").mkdir()
    Path("link.mp4").symlink_to("nowhere.mp4")
    assert sentence_of(read, name) == f"{name} is not a file; check the path."


@pytest.mark.parametrize("read", READERS, ids=["info", "vectors", "keyframes"])
@pytest.mark.parametrize(("name", "tag"), [("a.avi", b"FMP4"), ("a.mp4", b"avc1")])
def test_an_unknown_codec_is_refused(name, tag, read):
    path = Path(encode(name, moving(frames=2), "mpeg4" if tag == b"FMP4" else "libx264"))
    path.write_bytes(path.read_bytes().replace(tag, b"ZZZZ"))
    wanted = f"{name} is in a codec that this build of FFmpeg cannot decode; re-encode it as H.264 or MPEG-4."
    assert sentence_of(read, name) == wanted


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
def test_a_damaged_packet_is_refused_by_motion_vectors(codec):
    path = Path(encode("whole.mp4", moving(), codec))
    start, end = (path.read_bytes().index(tag) for tag in (b"mdat", b"moov"))
    overwritten(path, "a.mp4", start + (end - start) // 2, end - 4)
    assert re.fullmatch(
        r"a\.mp4 cannot be decoded as video \([^()\n]+\); replace or remove it\.", sentence_of(READERS[1], "a.mp4")
    )


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
def test_damage_after_a_keyframe_does_not_change_it(codec):
    path = Path(encode("whole.mp4", moving(frames=20), codec))
    start, end = (path.read_bytes().index(tag) for tag in (b"mdat", b"moov"))
    overwritten(path, "a.mp4", start + (end - start) * 9 // 10, end - 4)
    (found,) = keyframes.read_keyframes("a.mp4", 1, "middle")
    assert 5 <= found.frame <= 10
    assert np.array_equal(found.image, decoded("whole.mp4")[found.frame])


def test_frames_before_damage_are_yielded():
    path = Path(encode("whole.mp4", moving(frames=20), "libx264"))
    start, end = (path.read_bytes().index(tag) for tag in (b"mdat", b"moov"))
    frames = motion_vectors(overwritten(path, "a.mp4", start + (end - start) * 9 // 10, end - 4))
    assert [next(frames)[0] for _ in range(8)] == list("IPPPPPPP")
    assert sentence_of(list, frames).startswith("a.mp4 cannot be decoded as video (")


def test_a_clip_without_frames_is_refused():
    with_packets(encode("whole.avi", moving(frames=2)), "a.avi", start=2)
    wanted = "a.avi has no frame that can be decoded; replace or remove it."
    assert sentence_of(keyframes.read_keyframes, "a.avi", 1, "middle") == wanted


@pytest.mark.parametrize("read", READERS[1:], ids=["vectors", "keyframes"])
def test_a_clip_that_changes_its_size_is_refused(read):
    parts = [encode(f"{height}.h264", moving(frames=5, size=(height, 176)), "libx264") for height in (144, 96)]
    write_bytes("a.h264", b"".join(Path(part).read_bytes() for part in parts))
    wanted = "a.h264 changes its size from 176x144 to 176x96 pixels; re-encode it at one size or remove it."
    assert sentence_of(read, "a.h264") == wanted
