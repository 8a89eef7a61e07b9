"""Frame n is the n-th picture of a sequential decode: a short run of benchmarks/frames.py, and special cases."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from builders import CHECKOUT, PLAIN, sentence_of
from footage import encode, moving, real, with_packets

from benchmarks import frames as corpus
from mocliplite.errors import LimitError, MachineError
from mocliplite.motion import extraction, inspection
from mocliplite.motion.field import MISSING
from mocliplite.video import frames, keyframes, streams
from mocliplite.video.source import Source
from mocliplite.video.vectors import read_frames

pytestmark = pytest.mark.usefixtures("folder")

CASES = CHECKOUT.parent / "shared/cases"


def decoded(path):
    return corpus.decoded(Path(path))


# Random clips, remuxed and damaged


@pytest.mark.parametrize("seed", [11, 12, 13])
def test_pictures_and_counts_equal_those_of_a_sequential_decode(seed, tmp_path):
    found = list(corpus.differences(tmp_path, 20, seed))
    assert [(clip.manipulation, clip.description, reason) for clip, reason in found if reason] == []
    assert len({clip.description.split()[0] for clip, _ in found}) >= 5


def test_frames_hidden_by_an_edit_list_are_not_counted(tmp_path):
    source = corpus.encoded(tmp_path / "s.mkv", "libx264", 250, 2, 30, 0, {})
    corpus.mux(Path("whole.mp4"), [(source, slice(None), 0)], sound=False)
    whole = decoded("whole.mp4")
    Path("a.mp4").write_bytes(corpus.edited(Path("whole.mp4").read_bytes(), [(10, 15)]))
    visible = decoded("a.mp4")
    assert [np.abs(picture.astype(int) - whole[10 + n]).max() for n, picture in enumerate(visible)] == [0] * len(
        visible
    )
    assert 13 <= len(visible) <= 16
    assert corpus.difference(Path("a.mp4")) == ""
    assert extraction.motion_field("a.mp4", PLAIN).damaged == 0


def test_a_wanted_frame_that_cannot_be_decoded_from_a_safe_start_is_decoded_from_the_beginning(monkeypatch):
    path = encode("a.mp4", moving(frames=30), "libx264", gop=5)
    whole, find_shortcut = decoded(path), frames.find_shortcut
    starts = []

    def with_wrong_start(clip, coded):
        shortcut = find_shortcut(clip, coded)
        starts.append(shortcut.safe_starts)
        return replace(shortcut, safe_starts=[7])

    monkeypatch.setattr(frames, "find_shortcut", with_wrong_start)
    assert np.array_equal(frames.pictures(path, [9])[9], whole[9])
    assert len(starts[0]) >= 6


@pytest.mark.parametrize(
    ("codec", "name", "options"),
    [("mpeg4", "a.avi", {}), ("libx264", "a.mp4", {}), ("libx264", "a.mkv", {"b_frames": 2}), ("mpeg4", "a.mp4", {})],
)
def test_decoding_starts_at_the_last_key_frame_before_the_keyframe(codec, name, options, monkeypatch):
    path = encode(name, moving(frames=30), codec, gop=6, **options)
    decoded_packets = []
    decode_packets = frames.decode_packets

    def counting(decoder, packets, first=0):
        decoded_packets.append(len(packets))
        return decode_packets(decoder, packets, first)

    monkeypatch.setattr(frames, "decode_packets", counting)
    (found,) = keyframes.read_keyframes(path, 1, "middle")
    assert found.frame == 15
    assert decoded_packets[0] <= 8
    assert len(decoded_packets) == 1


@pytest.mark.parametrize("name", ["a.avi", "a.mp4"])
def test_b_frames_dropped_by_the_decoder_after_a_gap_are_not_counted(name, tmp_path):
    source = corpus.encoded(tmp_path / "s.mkv", "mpeg4", 4, 3, 30, 0, {})
    dropped = 0
    for gap in range(3, 15):
        corpus.mux(Path(name), [(source, slice(gap), 0), (source, slice(gap + 3, None), 0)], sound=False)
        assert corpus.difference(Path(name)) == "", gap
        dropped += 27 - len(decoded(name))
    assert dropped > 0


def test_frames_of_h264_dropped_by_the_decoder_after_a_gap_are_not_counted(tmp_path):
    source = corpus.encoded(tmp_path / "s.mkv", "libx264", 250, 0, 30, 0, {})
    dropped = 0
    for gap in range(3, 15):
        corpus.mux(Path("a.mp4"), [(source, slice(gap), 0), (source, slice(gap + 3, None), 0)], sound=False)
        count = len(frames.select_frames("a.mp4", lambda frame_types, times: []).frame_types)
        assert count == len(decoded("a.mp4")), gap
        dropped += 27 - count
    assert dropped > 0


# Streams


def two_streams(name, first, default):
    """Write a file of two videos, one grey and one moving, with one of them marked as default."""
    with (
        av.open(encode("moving.mkv", moving(frames=9), "libx264")) as one,
        av.open(encode("grey.mkv", [np.full((144, 176), 90, np.uint8)] * 9, "libx264")) as other,
        av.open(name, "w") as container,
    ):
        sources = [other, one] if first == "grey" else [one, other]
        clip = [container.add_stream_from_template(source.streams.video[0], opaque=True) for source in sources]
        for number, stream in enumerate(clip):
            stream.disposition = 1 if number == default else 0
        container.start_encoding()
        for source, stream in zip(sources, clip, strict=True):
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    container.mux(packet)
    return name


@pytest.mark.parametrize(("first", "default", "is_grey"), [("grey", 1, False), ("moving", 0, False), ("grey", 0, True)])
def test_the_default_stream_is_used(first, default, is_grey):
    (found,) = keyframes.read_keyframes(two_streams("a.mkv", first, default), 1, "middle")
    assert (np.ptp(found.image) < 10) == is_grey


def with_cover(name, video):
    """Write an audio file, or with `video` a clip, with a cover picture as the first stream."""
    with av.open(name, "w") as container:
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "yuvj420p"
        cover.disposition = 1024
        sound = container.add_stream("aac", rate=8000, layout="mono")
        moved = container.add_stream("libx264", rate=25) if video else None
        if moved is not None:
            moved.width, moved.height, moved.pix_fmt = 176, 144, "yuv420p"
        picture = av.VideoFrame.from_ndarray(np.zeros((64, 64), np.uint8), format="gray").reformat(format="yuvj420p")
        picture.pts, picture.time_base = 0, Fraction(1, 1)
        container.mux(cover.encode(picture))
        container.mux(cover.encode())
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        resampler = av.AudioResampler(format=sound.format.name, layout="mono", rate=8000, frame_size=1024)
        for part in resampler.resample(frame):
            container.mux(sound.encode(part))
        container.mux(sound.encode())
        for index, image in enumerate(moving(frames=9) if moved is not None else []):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="gray").reformat(format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(moved.encode(frame))
        if moved is not None:
            container.mux(moved.encode())
    return name


def test_a_cover_picture_is_ignored():
    assert streams.info(with_cover("a.mp4", video=True)).codec == "h264"
    assert len(read_frames("a.mp4").frame_types) == 9


@pytest.mark.parametrize("name", ["a.mp4", "a.m4a"])
def test_an_audio_file_with_a_cover_has_no_video_stream(name):
    with_cover("song.mp4", video=False)
    Path("song.mp4").rename(name)
    expected = f"{name} has no video stream; replace it with a video or remove it."
    assert sentence_of(streams.info, name) == expected


@pytest.mark.parametrize("codec", ["libx265", "ffv1"])
def test_a_video_with_one_frame_is_refused(codec):
    encode("a.mkv", moving(frames=1), codec)
    expected = "a.mkv: it has one frame, but motion needs two; replace it with a video or remove it."
    assert sentence_of(extraction.motion_field, "a.mkv", PLAIN) == expected


# Times


def test_the_time_of_a_keyframe_is_its_presentation_time():
    times = [0, 40, 80, 200, 240, 280, 300, 320, 500]
    with av.open("a.mp4", "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 144, 176, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for picture, time in zip(moving(frames=9), times, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="gray").reformat(format="yuv420p")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    found = keyframes.read_keyframes("a.mp4", 3, "middle")
    assert [(keyframe.frame, round(1000 * keyframe.time)) for keyframe in found] == [(1, 40), (4, 240), (7, 320)]


# Lost frames


@pytest.mark.parametrize(("share", "lost"), [(1.0, False), (0.6, True)])
@pytest.mark.parametrize("name", ["a.avi", "a.mkv", "a.mp4"])
def test_frames_cut_off_at_the_end_of_a_file_are_lost(name, share, lost):
    if name == "a.mp4":
        source = encode("s.mkv", moving(right=1, down=0, frames=40), "libx264")
        with av.open(source) as old, av.open(name, "w", options={"movflags": "faststart"}) as new:
            stream = new.add_stream_from_template(old.streams.video[0], opaque=True)
            new.start_encoding()
            for packet in old.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    new.mux(packet)
    else:
        encode(name, moving(right=1, down=0, frames=40), "mpeg4")
    content = Path(name).read_bytes()
    Path(name).write_bytes(content[: int(share * len(content))])
    read = read_frames(name)
    assert bool(read.lost) == lost
    assert abs(len(read.lost) + len(read.frame_types) - 40) <= 2


def test_leading_frames_without_references_are_not_lost():
    with_packets(encode("whole.mkv", moving(frames=30), "mpeg2video", gop=10, b_frames=2), "a.ts", 3)
    read = read_frames("a.ts")
    assert (read.lost, len(read.frame_types)) == ([], len(decoded("a.ts")))


# Pixels that are not square, and limits


@pytest.mark.parametrize(("height", "expected"), [(144, 4 / 3), (160, 1.2)])
def test_the_pixel_aspect_ratio_is_recorded(height, expected):
    with av.open("a.mp4", "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 144, 176, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        for index, picture in enumerate(moving(frames=5)):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="gray").reformat(format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert streams.info("a.mp4").pixel_aspect == pytest.approx(4 / 3)
    # Re-encoding at another height changes the pixel aspect ratio.
    size = None if height == 144 else (176, height)
    settings = replace(PLAIN, reencode=replace(corpus.REENCODE, size=size)) if size else PLAIN
    assert extraction.motion_field("a.mp4", settings).pixel_aspect == pytest.approx(
        expected * (height / 144) ** 2 if size else expected
    )
    assert keyframes.read_keyframes("a.mp4", 1, "middle")[0].image.shape == (144, 176, 3)


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"pixels": 1000}, "a.avi has 176x144 pixels, more than compute.max_pixels, 1000; raise the limit,"),
        ({"frames": 12}, "a.avi has more frames than compute.max_frames, 12; raise the limit,"),
        ({"memory": 0}, "a.avi needs more memory than compute.max_memory, 0 MiB, after 1 frames; raise the limit,"),
    ],
)
@pytest.mark.parametrize(
    "read", [inspection.inspect, lambda path, limits: keyframes.read_keyframes(path, 1, "middle", limits)]
)
def test_a_clip_beyond_a_limit_is_refused_with_the_name_of_the_setting(limits, reason, read):
    encode("a.avi", moving(frames=13))
    with pytest.raises(LimitError) as error:
        read("a.avi", streams.Limits(**limits))
    assert str(error.value).startswith(reason)


# Read errors


class FailingFile:
    """A file with an n-th read that fails as on a network disk."""

    def __init__(self, file, number):
        self.file, self.left = file, number

    def read(self, size):
        self.left -= 1
        if self.left == 0:
            raise OSError(5, "Input/output error")
        return self.file.read(size)

    def __getattr__(self, name):
        return getattr(self.file, name)


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize(
    ("name", "codec"), [("a.avi", "mpeg4"), ("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.ts", "libx264")]
)
@pytest.mark.parametrize(
    "read",
    [inspection.inspect, lambda path: keyframes.read_keyframes(path, 1, "middle"), lambda path: streams.info(path)],
)
def test_a_failed_read_is_an_error_of_the_machine_and_not_a_shorter_clip(name, codec, read, number, monkeypatch):
    encode(name, moving(frames=30), codec)
    whole, begin = inspection.inspect(name), Source.__init__

    def failing(self, path):
        begin(self, path)
        self._file = FailingFile(self._file, number)

    monkeypatch.setattr(Source, "__init__", failing)
    monkeypatch.setattr(streams, "_BUFFER", 2048)
    try:
        found = read(name)
    except MachineError as error:
        assert str(error) == f"{name} could not be read (Input/output error); check its disk, then run again."  # noqa: PT017
        return
    # The third read is not always needed.
    assert read is not inspection.inspect or found == whole
    assert number == 3


@pytest.mark.parametrize("kind", ["pipe", "folder", "link", "device"])
def test_a_path_that_is_not_a_regular_file_is_refused(kind):
    path = Path("a.mp4")
    {
        "pipe": lambda: __import__("os").mkfifo(path),
        "folder": path.mkdir,
        "link": lambda: path.symlink_to("gone"),
        "device": lambda: path.symlink_to("/dev/zero"),
    }[kind]()
    assert sentence_of(inspection.inspect, "a.mp4") == "a.mp4 is not a file; check the path."


def test_empty_chunks_do_not_change_the_frame_rate():
    with av.open("a.avi", "w") as container:
        stream = container.add_stream("mpeg4", rate=50)
        stream.height, stream.width, stream.pix_fmt = 144, 176, "yuv420p"
        for index, picture in enumerate(moving(frames=9)):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="gray").reformat(format="yuv420p")
            frame.pts, frame.time_base = 2 * index, Fraction(1, 50)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    field = extraction.motion_field("a.avi", PLAIN)
    assert field.fps == pytest.approx(25)
    assert field.time.tolist() == pytest.approx([index / 25 for index in range(9)])
    assert field.damaged == 0


# Interlaced


def fields_of(right, down, count, size=(144, 192)):
    """Return interlaced frames, upper field first, of content that moves by (right, down) pixels per field."""
    whole = moving(right, down, 2 * count, size)
    pictures = []
    for index in range(count):
        picture = whole[2 * index].copy()
        picture[1::2] = whole[2 * index + 1][1::2]
        pictures.append(picture)
    return pictures


@pytest.mark.parametrize(("right", "down"), [(3, -2), (3, 1), (-2, -3)])
@pytest.mark.parametrize(
    ("name", "codec", "reencoded"),
    [("a.mp4", "libx264", True), ("a.mpg", "mpeg2video", False), ("a.avi", "mpeg4", False)],
)
def test_vectors_of_interlaced_clips_are_per_frame(name, codec, reencoded, right, down):
    encode(name, fields_of(right, down, 13), codec, flags="+ildct+ilme")
    field = extraction.motion_field(name, PLAIN)
    assert (field.interlaced, field.reencoded, len(field.kind)) == (True, reencoded, 13)
    vectors = field.vectors[field.kind == 1, 2:-2, 2:-2].reshape(-1, 2).astype(int)
    find_shortcut = vectors[vectors[:, 0] != MISSING]
    assert np.median(find_shortcut, axis=0).tolist() == [8 * right, 8 * down]
    assert "interlaced" in inspection.table_row(inspection.inspect(name))


def field_pictures(path, pictures):
    """Write MPEG-2 in which each picture is coded as two fields, both intra; return the path.

    No encoder at hand writes such a stream. Intra frames of half the height differ from it in their headers only.
    """
    fields = [np.ascontiguousarray(picture[parity::2]) for picture in pictures for parity in (0, 1)]
    encoder = av.CodecContext.create("mpeg2video", "w")
    encoder.height, encoder.width = fields[0].shape
    encoder.pix_fmt, encoder.time_base, encoder.framerate = "yuv420p", Fraction(1, 50), Fraction(50)
    encoder.gop_size, encoder.thread_count, encoder.qmin, encoder.qmax = 0, 1, 2, 2
    frames = [av.VideoFrame.from_ndarray(field, format="gray").reformat(format="yuv420p") for field in fields]
    packets = [bytes(packet) for frame in [*frames, None] for packet in encoder.encode(frame)]
    content = b"".join(field_unit(unit, number % 2) for number, packet in enumerate(packets) for unit in split(packet))
    Path(path).write_bytes(content)
    return path


def split(packet):
    return [bytearray(b"\0\0\1" + unit) for unit in packet.split(b"\0\0\1")[1:]]


def field_unit(unit, parity):
    """Return a unit of a frame of half the height as the unit of a field, of the upper one if parity is 0."""
    code, extension = unit[3], unit[4] >> 4
    if code == 0xB3:  # sequence header
        height = 2 * ((unit[5] & 0x0F) << 8 | unit[6])
        unit[5:7] = unit[5] & 0xF0 | height >> 8, height & 0xFF
    elif code == 0xB5 and extension == 1:
        unit[5] &= ~0x08  # progressive_sequence
    elif code == 0xB5 and extension == 8:
        unit[6] = unit[6] & ~3 | parity + 1  # picture_structure
        unit[7] &= ~0xC1 & 0xFF  # top_field_first, frame_pred_frame_dct, chroma_420_type
        unit[8] &= ~0x80 & 0xFF  # progressive_frame
    elif code == 0x00:
        unit[4:6] = 0, unit[5] & 0x3F  # temporal_reference
    of_frame = code in (0xB3, 0xB8) or (code == 0xB5 and extension == 1)
    return b"" if of_frame and parity else bytes(unit)


def test_mpeg2_coded_as_single_fields_is_re_encoded():
    field = extraction.motion_field(field_pictures("a.mpg", fields_of(3, -2, 13, size=(160, 192))), PLAIN)
    assert (field.interlaced, field.reencoded, field.vectors.shape[:3]) == (True, True, (13, 20, 24))
    vectors = field.vectors[field.kind == 1, 2:-2, 2:-2].reshape(-1, 2).astype(int)
    assert np.median(vectors[vectors[:, 0] != MISSING], axis=0).tolist() == [24, -16]


def test_a_progressive_clip_is_not_interlaced():
    encode("a.mp4", moving(), "libx264")
    assert extraction.motion_field("a.mp4", PLAIN).interlaced is False


# Sizes that an encoder does not accept


@pytest.mark.parametrize("codec", ["mpeg4", "h264"])
@pytest.mark.parametrize("size", [(133, 171), (16, 9000), (17, 8191)])
def test_a_clip_is_scaled_to_a_size_that_the_encoder_accepts(codec, size):
    encode("a.mkv", moving(right=4, down=0, frames=4, size=size), "ffv1")
    settings = replace(PLAIN, reencode=replace(corpus.REENCODE, codec=codec))
    field = extraction.motion_field("a.mkv", settings)
    assert len(field.kind) == 4
    assert field.width <= (8190 if codec == "mpeg4" else 16384)
    assert abs(field.width / size[1] - 1) < 0.12


# Real files with numbered frames

EXPECTED = {
    "trimmed_start.mp4": (62, 69),
    "trimmed_end.mp4": (50, 25),
    "open_gop_h264.mp4": (98, 49),
    "open_gop_hevc.mp4": (93, 46),
    "open_gop_dvd.vob": (94, 47),
    "intra_refresh.ts": (100, 50),
    "cut_inside_gop_mpeg2.ts": (88, 56),
    "time_jumps_back.vob": (100, 50),
    "empty_chunks_h264.avi": (100, 50),
    "empty_chunks_vfr_mpeg4.avi": (32, 50),
    "cover_art_first.mp4": (100, 50),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_the_middle_frame_shows_its_number(name):
    path = real(CASES / name)
    (found,) = keyframes.read_keyframes(path, 1, "middle")
    luma = found.image.mean(axis=2)
    number = sum(1 << bit for bit in range(10) if luma[8, 16 * bit + 8] > 128)
    read = read_frames(path, corpus.REENCODE)
    assert (len(read.frame_types), number, read.lost) == (*EXPECTED[name], [])
    assert found.frame == len(read.frame_types) // 2
