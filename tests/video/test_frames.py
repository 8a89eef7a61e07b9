"""Frame n is the n-th picture that a sequential decode shows: the short form of benchmarks/frames.py, and more."""

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
from mocliplite.video.vectors import read_vectors

pytestmark = pytest.mark.usefixtures("folder")

CASES = CHECKOUT.parent / "shared/cases"


def decoded(path):
    return corpus.decoded(Path(path))


# Clips of many kinds, remuxed and damaged at random


@pytest.mark.parametrize("seed", [11, 12, 13])
def test_pictures_and_counts_are_those_of_a_sequential_decode(seed, tmp_path):
    found = list(corpus.differences(tmp_path, 20, seed))
    assert [(made.way, made.what, why) for made, why in found if why] == []
    assert len({made.what.split()[0] for made, _ in found}) >= 5


def test_edit_lists_have_frames_decoded_and_not_shown(tmp_path):
    source = corpus.encoded(tmp_path / "s.mkv", "libx264", 250, 2, 30, 0, {})
    corpus.mux(Path("whole.mp4"), [(source, slice(None), 0)], sound=False)
    whole = decoded("whole.mp4")
    Path("a.mp4").write_bytes(corpus.edited(Path("whole.mp4").read_bytes(), [(10, 15)]))
    shown = decoded("a.mp4")
    assert [np.abs(picture.astype(int) - whole[10 + n]).max() for n, picture in enumerate(shown)] == [0] * len(shown)
    assert 13 <= len(shown) <= 16
    assert corpus.difference(Path("a.mp4")) == ""
    assert extraction.motion_field("a.mp4", PLAIN).damaged == 0


def test_a_wanted_frame_that_does_not_come_from_the_last_key_frame_comes_from_the_beginning(monkeypatch):
    path = encode("a.mp4", moving(frames=30), "libx264", gop=5)
    whole, known = decoded(path), frames.shortcut
    starts = []

    def lies(clip, coded):
        told = known(clip, coded)
        starts.append(told.starts)
        return replace(told, starts=[7])

    monkeypatch.setattr(frames, "shortcut", lies)
    assert np.array_equal(frames.pictures(path, [9])[9], whole[9])
    assert len(starts[0]) >= 6


@pytest.mark.parametrize(
    ("codec", "name", "options"),
    [("mpeg4", "a.avi", {}), ("libx264", "a.mp4", {}), ("libx264", "a.mkv", {"b_frames": 2}), ("mpeg4", "a.mp4", {})],
)
def test_of_a_plain_file_only_what_leads_to_the_frame_is_decoded(codec, name, options, monkeypatch):
    path = encode(name, moving(frames=30), codec, gop=6, **options)
    seen = []
    real_decoded = frames.decoded

    def counting(decoder, packets, first=0):
        seen.append(len(packets))
        return real_decoded(decoder, packets, first)

    monkeypatch.setattr(frames, "decoded", counting)
    (found,) = keyframes.read_keyframes(path, 1, "middle")
    assert found.frame == 15
    assert seen[0] <= 8
    assert len(seen) == 1


@pytest.mark.parametrize("name", ["a.avi", "a.mp4"])
def test_b_frames_that_a_decoder_drops_after_a_gap_do_not_count(name, tmp_path):
    source = corpus.encoded(tmp_path / "s.mkv", "mpeg4", 4, 3, 30, 0, {})
    dropped = 0
    for gap in range(3, 15):
        corpus.mux(Path(name), [(source, slice(gap), 0), (source, slice(gap + 3, None), 0)], sound=False)
        assert corpus.difference(Path(name)) == "", gap
        dropped += 27 - len(decoded(name))
    assert dropped > 0


# Streams


def two_streams(name, first, default):
    """A file of two videos, the first plain grey, one of which is marked as default."""
    with (
        av.open(encode("moving.mkv", moving(frames=9), "libx264")) as one,
        av.open(encode("grey.mkv", [np.full((144, 176), 90, np.uint8)] * 9, "libx264")) as other,
        av.open(name, "w") as container,
    ):
        sources = [other, one] if first == "grey" else [one, other]
        made = [container.add_stream_from_template(source.streams.video[0], opaque=True) for source in sources]
        for number, stream in enumerate(made):
            stream.disposition = 1 if number == default else 0
        container.start_encoding()
        for source, stream in zip(sources, made, strict=True):
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    container.mux(packet)
    return name


@pytest.mark.parametrize(("first", "default", "grey"), [("grey", 1, False), ("moving", 0, False), ("grey", 0, True)])
def test_the_default_stream_is_read(first, default, grey):
    (found,) = keyframes.read_keyframes(two_streams("a.mkv", first, default), 1, "middle")
    assert (np.ptp(found.image) < 10) == grey


def with_cover(name, video):
    """A song, or with `video` a clip, whose first stream is its cover."""
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


def test_a_cover_is_passed_over():
    assert streams.info(with_cover("a.mp4", video=True)).codec == "h264"
    assert len(read_vectors("a.mp4").kinds) == 9


@pytest.mark.parametrize("name", ["a.mp4", "a.m4a"])
def test_a_song_with_a_cover_has_no_video(name):
    with_cover("song.mp4", video=False)
    Path("song.mp4").rename(name)
    wanted = f"{name} has no video stream; remove it or replace it by a video."
    assert sentence_of(streams.info, name) == wanted


@pytest.mark.parametrize("codec", ["libx265", "ffv1"])
def test_a_picture_has_one_frame_only(codec):
    encode("a.mkv", moving(frames=1), codec)
    wanted = "a.mkv: it has one frame only, and motion needs two; remove it or replace it by a video."
    assert sentence_of(extraction.motion_field, "a.mkv", PLAIN) == wanted


# Times


def test_a_keyframe_has_the_time_at_which_it_is_shown():
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
    assert [(one.frame, round(1000 * one.time)) for one in found] == [(1, 40), (4, 240), (7, 320)]


# Losses


@pytest.mark.parametrize(("share", "lost"), [(1.0, False), (0.6, True)])
@pytest.mark.parametrize("name", ["a.avi", "a.mkv", "a.mp4"])
def test_lost_is_what_a_file_that_ends_early_lacks(name, share, lost):
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
    read = read_vectors(name)
    assert (read.lost > 0) == lost
    assert abs(read.lost + len(read.kinds) - 40) <= 2


def test_frames_that_a_cut_left_without_reference_are_not_lost():
    with_packets(encode("whole.mkv", moving(frames=30), "mpeg2video", gop=10, b_frames=2), "a.ts", 3)
    read = read_vectors("a.ts")
    assert (read.lost, len(read.kinds)) == (0, len(decoded("a.ts")))


# Pixels that are not square, and limits


@pytest.mark.parametrize(("height", "wanted"), [(144, 4 / 3), (160, 1.2)])
def test_the_shape_of_pixels_is_kept(height, wanted):
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
    # Scaled to another height, pixels of the picture that the vectors are of have another shape.
    size = None if height == 144 else (176, height)
    settings = replace(PLAIN, reencode=replace(corpus.AGAIN, size=size)) if size else PLAIN
    assert extraction.motion_field("a.mp4", settings).pixel_aspect == pytest.approx(
        wanted * (height / 144) ** 2 if size else wanted
    )
    assert keyframes.read_keyframes("a.mp4", 1, "middle")[0].image.shape == (144, 176, 3)


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        ({"pixels": 1000}, "a.avi has 176x144 pixels, more than compute.max_pixels, 1000; raise that, or"),
        ({"frames": 12}, "a.avi has more frames than compute.max_frames, 12; raise that, or"),
        ({"memory": 0}, "a.avi takes more memory than compute.max_memory, 0 MiB, after 1 frames; raise that, or"),
    ],
)
@pytest.mark.parametrize(
    "read", [inspection.inspect, lambda path, limits: keyframes.read_keyframes(path, 1, "middle", limits)]
)
def test_a_clip_beyond_a_limit_is_refused_with_the_settings_name(limits, why, read):
    encode("a.avi", moving(frames=13))
    with pytest.raises(LimitError) as error:
        read("a.avi", streams.Limits(**limits))
    assert str(error.value).startswith(why)


# Disks


class Failing:
    """A file whose n-th read fails as a network disk does."""

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
def test_a_read_that_fails_is_the_machines_fault_and_never_a_shorter_clip(name, codec, read, number, monkeypatch):
    encode(name, moving(frames=30), codec)
    whole, begin = inspection.inspect(name), Source.__init__

    def failing(self, path):
        begin(self, path)
        self._file = Failing(self._file, number)

    monkeypatch.setattr(Source, "__init__", failing)
    monkeypatch.setattr(streams, "_BUFFER", 2048)
    try:
        found = read(name)
    except MachineError as error:
        assert str(error) == f"{name} could not be read (Input/output error); see to its disk, then run again."  # noqa: PT017
        return
    # Only where so many reads were not needed.
    assert read is not inspection.inspect or found == whole
    assert number == 3


@pytest.mark.parametrize("kind", ["pipe", "folder", "link"])
def test_what_is_no_file_is_told_at_once(kind):
    path = Path("a.mp4")
    {"pipe": lambda: __import__("os").mkfifo(path), "folder": path.mkdir, "link": lambda: path.symlink_to("gone")}[
        kind
    ]()
    assert sentence_of(inspection.inspect, "a.mp4") == "a.mp4 is not a file; check the path."


def test_a_file_that_names_others_does_not_have_them_read():
    encode("secret.mp4", moving(frames=5), "libx264")
    Path("a.mp4").write_text("ffconcat version 1.0\nfile 'secret.mp4'\n")
    assert sentence_of(inspection.inspect, "a.mp4").startswith("a.mp4 cannot be decoded as video (")


def test_the_rate_is_that_of_frames_and_not_of_empty_chunks():
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
    """Interlaced frames, the upper field first, of content that moves by (right, down) pixels a field."""
    whole = moving(right, down, 2 * count, size)
    pictures = []
    for index in range(count):
        picture = whole[2 * index].copy()
        picture[1::2] = whole[2 * index + 1][1::2]
        pictures.append(picture)
    return pictures


@pytest.mark.parametrize(("right", "down"), [(3, -2), (3, 1), (-2, -3)])
@pytest.mark.parametrize(
    ("name", "codec", "again"), [("a.mp4", "libx264", True), ("a.mpg", "mpeg2video", False), ("a.avi", "mpeg4", False)]
)
def test_interlaced_clips_have_the_motion_of_a_frame(name, codec, again, right, down):
    encode(name, fields_of(right, down, 13), codec, flags="+ildct+ilme")
    field = extraction.motion_field(name, PLAIN)
    assert (field.interlaced, field.reencoded, len(field.kind)) == (True, again, 13)
    told = field.vectors[field.kind == 1, 2:-2, 2:-2].reshape(-1, 2).astype(int)
    known = told[told[:, 0] != MISSING]
    assert np.median(known, axis=0).tolist() == [8 * right, 8 * down]
    assert "interlaced" in inspection.line(inspection.inspect(name))


def test_a_progressive_clip_is_not_interlaced():
    encode("a.mp4", moving(), "libx264")
    assert extraction.motion_field("a.mp4", PLAIN).interlaced is False


# Sizes that an encoder refuses


@pytest.mark.parametrize("codec", ["mpeg4", "h264"])
@pytest.mark.parametrize("size", [(133, 171), (16, 9000), (17, 8191)])
def test_a_size_that_the_encoder_does_not_take_is_scaled(codec, size):
    encode("a.mkv", moving(right=4, down=0, frames=4, size=size), "ffv1")
    settings = replace(PLAIN, reencode=replace(corpus.AGAIN, codec=codec))
    field = extraction.motion_field("a.mkv", settings)
    assert len(field.kind) == 4
    assert field.width <= (8190 if codec == "mpeg4" else 16384)
    assert abs(field.width / size[1] - 1) < 0.12


# What real life makes

WANTED = {
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


@pytest.mark.parametrize("name", WANTED)
def test_the_middle_frame_bears_its_number(name):
    path = real(CASES / name)
    (found,) = keyframes.read_keyframes(path, 1, "middle")
    grey = found.image.mean(axis=2)
    number = sum(1 << bit for bit in range(10) if grey[8, 16 * bit + 8] > 128)
    read = read_vectors(path, corpus.AGAIN)
    assert (len(read.kinds), number, read.lost) == (*WANTED[name], 0)
    assert found.frame == len(read.kinds) // 2
