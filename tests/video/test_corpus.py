"""One scene in many codecs, containers and orientations: the motion field is right, or there is a clear error."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from builders import PLAIN, sentence_of
from footage import encode, moving, sound, with_noise, with_packets

from benchmarks.scenes import steady
from mocliplite import params
from mocliplite.motion import extraction
from mocliplite.motion.field import KIND_CODES, MISSING
from mocliplite.video import keyframes
from mocliplite.video.frames import pictures

pytestmark = pytest.mark.usefixtures("folder")

AUTO = replace(PLAIN, reencode="auto")
# The scene moves 3 pixels right and 2 up per frame.
QUARTER_PIXELS = [12, -8]
VARIABLE = [0, 40, 80, 200, 240, 280, 300, 320, 500, 540, 580, 620, 660]  # milliseconds


def write(name, codec, pix_fmt="yuv420p", gop=12, b_frames=0, times=None, **options):
    pictures = steady(right=3, down=-2, frames=13).pictures
    with av.open(name, "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.height, stream.width = pictures[0].shape
        stream.pix_fmt = pix_fmt
        context = stream.codec_context
        context.gop_size, context.max_b_frames, context.thread_count = gop, b_frames, 1
        base = Fraction(1, 1000) if times else Fraction(1, 25)
        context.time_base = base
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="gray").reformat(format=pix_fmt)
            frame.pts, frame.time_base = times[index] if times else index, base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return name


def median_motion(field):
    """Return the median over cells with vectors, without borders, and the fraction off by more than half a pixel."""
    vectors = field.vectors[np.isin(field.kind, [KIND_CODES["P"], KIND_CODES["B"]]), 2:-2, 2:-2].reshape(-1, 2)
    known = vectors[vectors[:, 0] != MISSING].astype(int)
    assert len(known) > 0.9 * len(vectors) > 0
    return np.median(known, axis=0).tolist(), float((np.abs(known - QUARTER_PIXELS).max(axis=1) > 2).mean())


@pytest.mark.parametrize(
    ("name", "codec", "more", "kinds"),
    [
        ("a.mp4", "libx264", {"pix_fmt": "yuv420p10le"}, "IPPPPPPPPPPPI"),
        ("a.mp4", "libx264", {"pix_fmt": "yuv444p"}, "IPPPPPPPPPPPI"),
        ("a.avi", "mpeg4", {"flags": "+ildct+ilme"}, "IPPPPPPPPPPPI"),
        ("a.mpg", "mpeg2video", {"flags": "+ildct+ilme"}, "IPPPPPPPPPPPI"),
        ("a.mpg", "mpeg1video", {"b_frames": 2}, "IBBPBBPBBPBBI"),
        ("a.ts", "mpeg2video", {"b_frames": 2}, "IBBPBBPBBPBBI"),
        ("a.ts", "libx264", {"b_frames": 2}, "IBBPBBPBBPBPI"),
        ("a.avi", "libx264", {"b_frames": 2}, "IBBPBBPBBPBPI"),
        ("a.mkv", "libx264", {"b_frames": 2}, "IBBPBBPBBPBPI"),
        ("a.h264", "libx264", {"b_frames": 2}, "IBBPBBPBBPBPI"),
        ("a.m4v", "mpeg4", {"b_frames": 2}, "I--P--P--P--I"),
        ("a.mp4", "mpeg4", {"b_frames": 2}, "I--P--P--P--I"),
        ("a.avi", "h263p", {}, "IPPPPPPPPPPPI"),
        ("a.flv", "flv", {}, "IPPPPPPPPPPPI"),
        ("a.avi", "msmpeg4", {}, "IPPPPPPPPPPPI"),
        ("a.avi", "msmpeg4v2", {}, "IPPPPPPPPPPPI"),
        ("a.asf", "wmv1", {}, "IPPPPPPPPPPPI"),
        ("a.asf", "wmv2", {}, "IPPPPPPPPPPPI"),
    ],
)
def test_the_field_of_a_codec_with_vectors_has_the_motion_of_the_scene(name, codec, more, kinds):
    field = extraction.motion_field(write(name, codec, **more), PLAIN)
    assert "".join("IPB-"[code] for code in field.kind) == kinds
    median, wrong_share = median_motion(field)
    assert median == QUARTER_PIXELS
    assert wrong_share < 0.05
    assert np.allclose(field.time, np.arange(13) / 25)
    assert (field.damaged, field.reencoded) == (0, False)


WITHOUT_VECTORS = [
    ("a.mp4", "libx265", {"x265-params": "log-level=none"}, "hevc"),
    ("a.webm", "libvpx-vp9", {}, "vp9"),
    ("a.webm", "libvpx-vp9", {"pix_fmt": "yuva420p"}, "vp9"),
    ("a.webm", "libvpx", {}, "vp8"),
    ("a.mkv", "libsvtav1", {}, "av1"),
    ("a.avi", "mjpeg", {"pix_fmt": "yuvj420p"}, "mjpeg"),
    ("a.gif", "gif", {"pix_fmt": "gray"}, "gif"),
    ("a.mov", "prores_ks", {"pix_fmt": "yuv422p10le"}, "prores"),
    ("a.mov", "qtrle", {"pix_fmt": "argb"}, "qtrle"),
    ("a.mp4", "libx264", {"gop": 1}, "h264"),
]


@pytest.mark.parametrize(("name", "codec", "more", "codec_name"), WITHOUT_VECTORS)
def test_a_codec_without_vectors_is_refused_or_with_auto_reencoded(name, codec, more, codec_name):
    write(name, codec, **more)
    sentence = sentence_of(extraction.motion_field, name, PLAIN)
    assert sentence.startswith(
        f"{name}: {'it has only I-frames' if codec_name == 'h264' else f'codec {codec_name} exports no'}"
    )
    assert "motion.reencode: auto" in sentence

    field = extraction.motion_field(name, AUTO)
    median, wrong_share = median_motion(field)
    assert median == QUARTER_PIXELS
    assert wrong_share < 0.1
    assert "".join("IPB-"[code] for code in field.kind) == "IPPPPPPPPPPPI"
    assert (field.codec, field.width, field.height, field.reencoded) == (codec_name, 176, 144, True)


def test_auto_does_not_reencode_a_clip_with_vectors():
    path = write("a.avi", "mpeg4")
    plain, auto = (extraction.motion_field(path, settings) for settings in (PLAIN, AUTO))
    assert np.array_equal(plain.vectors, auto.vectors)
    assert auto.reencoded is False


@pytest.mark.parametrize(("name", "codec", "b_frames"), [("a.mp4", "libx264", 0), ("a.mkv", "mpeg4", 2)])
def test_times_follow_a_variable_frame_rate(name, codec, b_frames):
    field = extraction.motion_field(write(name, codec, b_frames=b_frames, times=VARIABLE), PLAIN)
    assert np.allclose(field.time, np.array(VARIABLE) / 1000, atol=2e-3)
    assert median_motion(field)[0] == QUARTER_PIXELS


def with_matrix(path, matrix, name):
    """Copy an MP4 file with a display matrix in its track header, as phones write it for rotated or mirrored clips.

    matrix: displayed directions (x, y) of the rightward and downward directions of the coded picture.
    """
    content = bytearray(Path(path).read_bytes())
    at = content.index(b"tkhd") + 44
    for place, value in zip((0, 4, 12, 16), np.ravel(matrix).tolist(), strict=True):
        content[at + place : at + place + 4] = (value << 16).to_bytes(4, "big", signed=True)
    Path(name).write_bytes(content)
    return name


RIGHT, LEFT, DOWN, UP = (1, 0), (-1, 0), (0, 1), (0, -1)
# Displayed directions of the rightward and downward directions of the coded picture, and the displayed picture.
ORIENTATIONS = {
    "plain": (RIGHT, DOWN, lambda image: image),
    "rotated left": (UP, RIGHT, lambda image: np.rot90(image)),
    "upside down": (LEFT, UP, lambda image: image[::-1, ::-1]),
    "rotated right": (DOWN, LEFT, lambda image: np.rot90(image, -1)),
    "flipped horizontally": (LEFT, DOWN, lambda image: image[:, ::-1]),
    "flipped vertically": (RIGHT, UP, lambda image: image[::-1]),
    "transposed": (DOWN, RIGHT, lambda image: image.swapaxes(0, 1)),
    "transposed along the other diagonal": (UP, LEFT, lambda image: image[::-1, ::-1].swapaxes(0, 1)),
}


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("reencode", [None, replace(params.Reencode(codec="mpeg4", gop=12, bframes=0, size=None))])
def test_pictures_and_motion_are_upright(orientation, reencode):
    right, down, displayed = ORIENTATIONS[orientation]
    path = write("a.mp4", "libx264")
    (image,) = [keyframe.image for keyframe in keyframes.read_keyframes(path, 1, "middle")]
    with_matrix(path, (right, down), "displayed.mp4")

    field = extraction.motion_field("displayed.mp4", replace(PLAIN, reencode=reencode))
    (found,) = [keyframe.image for keyframe in keyframes.read_keyframes("displayed.mp4", 1, "middle")]
    assert np.array_equal(found, displayed(image))
    assert np.array_equal(pictures("displayed.mp4", [6])[6], found)
    assert (field.height, field.width) == found.shape[:2]
    inner = field.vectors[field.kind == 1, 2:-2, 2:-2].reshape(-1, 2)
    # 12 quarter pixels rightward, and -8 downward, in the coded picture.
    assert np.median(inner, axis=0).tolist() == (12 * np.array(right) - 8 * np.array(down)).tolist()


def test_a_field_is_rotated_and_mirrored_like_the_picture():
    path = write("a.mp4", "libx264")
    plain = extraction.motion_field(path, PLAIN)
    for orientation, (right, down, displayed) in ORIENTATIONS.items():
        field = extraction.motion_field(with_matrix(path, (right, down), f"{orientation}.mp4"), PLAIN)
        x, y = plain.vectors[..., 0].astype(int), plain.vectors[..., 1].astype(int)
        wanted = np.stack([x * right[axis] + y * down[axis] for axis in (0, 1)], axis=-1)
        wanted[x == MISSING] = MISSING
        assert np.array_equal(field.vectors, [displayed(frame) for frame in wanted]), orientation


@pytest.mark.parametrize("name", ["Über – ü.avi", "two\nlines.avi", "emoji 🎬.avi", " .avi", "a'b\"c.avi", "%s.avi"])
def test_a_file_name_may_have_unusual_characters(name):
    path = Path(encode("a.avi", moving(frames=4)))
    path.rename(name)
    assert np.median(extraction.motion_field(name, PLAIN).vectors[1, 2:-2, 2:-2].reshape(-1, 2), axis=0).tolist() == [
        16,
        8,
    ]


@pytest.mark.parametrize(("codec", "size"), [("mpeg4", (2160, 3840)), ("libx264", (2160, 3840)), ("mpeg4", (17, 4000))])
def test_large_frames_have_the_right_motion(codec, size):
    more = {"preset": "ultrafast"} if codec == "libx264" else {}
    path = encode("a.mkv", moving(right=4, down=0, frames=3, size=size), codec, **more)
    field = extraction.motion_field(path, PLAIN)
    assert field.vectors.shape == (3, -(-size[0] // 8), -(-size[1] // 8), 2)
    inner = field.vectors[1:, :, 4:-4].reshape(-1, 2)
    assert np.median(inner[inner[:, 0] != MISSING], axis=0).tolist() == [16, 0]


def test_a_clip_of_3000_frames():
    pictures = moving(right=1, down=0, frames=12, size=(32, 48))
    path = encode("a.avi", pictures * 250, gop=12, b_frames=2)
    field = extraction.motion_field(path, PLAIN)
    assert field.vectors.shape == (3000, 4, 6, 2)
    assert (field.kind == KIND_CODES["I"]).sum() == 251
    assert field.time[-1] == pytest.approx(2999 / 25)


def cut(name, share):
    content = Path(encode(f"whole-{name}", moving(frames=40, right=1, down=0))).read_bytes()
    Path(name).write_bytes(content[: int(len(content) * share)])
    return name


@pytest.mark.parametrize(("share", "allowed", "field"), [(0.95, 0.1, True), (0.5, 0.1, False), (0.5, 0.7, True)])
def test_a_truncated_clip_is_used_up_to_max_damaged(share, allowed, field):
    name = cut("a.avi", share)
    settings = replace(PLAIN, max_damaged=allowed)
    if not field:
        assert sentence_of(extraction.motion_field, name, settings).startswith("a.avi is damaged: ")
        return
    found = extraction.motion_field(name, settings)
    assert 0 < found.damaged <= allowed
    assert len(found.vectors) >= 40 * (1 - allowed) - 1


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
def test_a_damaged_frame_is_counted_and_has_no_vectors(codec):
    path = Path(encode("whole.mp4", steady(right=2, rotation=0.01, frames=40).pictures, codec, gop=250))
    field = extraction.motion_field(with_noise(path, "a.mp4", 20), PLAIN)
    assert "".join("IPB-"[code] for code in field.kind) == "I" + "P" * 19 + "-" + "P" * 19
    assert field.damaged == 1 / 40
    whole = extraction.motion_field(path, PLAIN)
    vectors = field.kind == KIND_CODES["P"]
    assert np.array_equal(field.vectors[vectors], whole.vectors[vectors])


@pytest.mark.parametrize(
    ("name", "make", "wanted"),
    [
        ("a.mp4", lambda name: Path(name).write_bytes(b""), "cannot be decoded as video"),
        ("a.avi", lambda name: Path(name).write_bytes(b"RIFF" + bytes(100)), "cannot be decoded as video"),
        ("a.m4a", lambda name: sound(name, "aac"), "has no video stream"),
        (
            "a.avi",
            lambda name: with_packets(encode("whole.avi", moving(frames=2)), name, 2),
            "has no frame that can be decoded",
        ),
        ("a.avi", lambda name: encode(name, moving(frames=1)), "it has one frame, but"),
    ],
)
@pytest.mark.parametrize("settings", [PLAIN, AUTO], ids=["plain", "auto"])
def test_a_file_without_motion_is_refused(name, make, wanted, settings):
    make(name)
    sentence = sentence_of(extraction.motion_field, name, settings)
    assert wanted in sentence
    assert sentence.startswith(name)
    assert "\n" not in sentence


def test_interpolated_frames_are_between_their_neighbours():
    path = write("a.avi", "mpeg4", b_frames=2)
    field = extraction.motion_field(path, replace(PLAIN, interpolate=True))
    assert "".join("IPB-"[code] for code in field.kind) == "IBBPBBPBBPBBI"
    assert median_motion(field)[0] == QUARTER_PIXELS
    plain = extraction.motion_field(path, PLAIN)
    first, last = plain.vectors[3].astype(int), plain.vectors[6].astype(int)
    both = (first != MISSING) & (last != MISSING)
    assert np.array_equal(field.vectors[4][both], np.rint(first + (last - first) / 3)[both])
    assert np.array_equal(field.vectors[plain.kind == 1], plain.vectors[plain.kind == 1])
