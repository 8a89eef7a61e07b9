"""Sliding windows: what they contain, in comparison with files that contain the same frames alone."""

import gc
from dataclasses import replace

import numpy as np
import pytest
from builders import sentence_of
from footage import encode, with_packets

from benchmarks.scenes import texture
from mocliplite import params
from mocliplite.predict import timeline, windows
from mocliplite.predict.decoding import decode
from mocliplite.predict.recognizer import COMPUTE, Recognizer
from mocliplite.video.decoding import Decoding
from mocliplite.video.streams import DEFAULT_LIMITS, open_clip
from mocliplite.video.vectors import AUTO

INLINE = replace(COMPUTE, engine="inline", device="cpu", threads=1)
FRAMES = 61  # of a film; the last one is a group of its own


def pictures(frames):
    """Pictures that move in changing directions."""
    canvas = texture(200, 240)
    steps = np.cumsum([[(4, 0), (0, 3), (2, 2), (5, 1)][number // 5 % 4] for number in range(frames)], axis=0)
    return [canvas[y % 64 : y % 64 + 96, x % 64 : x % 64 + 128] for x, y in steps.tolist()]


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    return str(encode(tmp_path_factory.mktemp("film") / "film.avi", pictures(FRAMES), gop=12))


@pytest.fixture(scope="module")
def recognizer(small_models):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(small_models)
        return Recognizer.load("models", INLINE)


def settings_of(recognizer, length, stride, **changes):
    return replace(timeline.window_settings(recognizer, length, stride, motion_only=False), **changes)


def read(path, settings):
    return list(windows.read_windows(path, settings, DEFAULT_LIMITS))


@pytest.mark.parametrize(
    ("ending", "options"),
    [("avi", {}), ("mp4", {"codec": "libx264", "b_frames": 2, "x264-params": "open-gop=0:scenecut=0"})],
    ids=["MPEG-4", "H.264 with B-frames"],
)
def test_a_window_is_classified_as_a_file_with_its_frames_alone(recognizer, tmp_path, ending, options):
    path = str(encode(tmp_path / f"film.{ending}", pictures(FRAMES), gop=12, **options))
    settings = settings_of(recognizer, 0.48, 0.48)
    answers = list(timeline.classify_windows(recognizer, read(path, settings), settings, timeline.Cost()))
    assert len(answers) == 6
    for number, answer in enumerate(answers[:5]):
        cut = with_packets(path, tmp_path / f"cut{number}.{ending}", 12 * number, 12 * number + 12)
        expected = dict(recognizer(cut))
        np.testing.assert_allclose(answer.probabilities, [expected[name] for name in recognizer.classes], atol=1e-5)


def test_windows_start_at_multiples_of_the_stride_and_the_last_one_ends_with_the_video(recognizer, film):
    found = read(film, settings_of(recognizer, 1.0, 0.5))
    assert [(window.start, pytest.approx(window.end)) for window in found] == [
        *((start, start + 1) for start in (0.0, 0.5, 1.0)),
        (pytest.approx(1.44), 2.44),
    ]
    (short,) = read(film, settings_of(recognizer, 5.0, 1.0))
    assert (short.start, pytest.approx(short.end)) == (0.0, 2.44)
    assert short.keyframes == (FRAMES // 2,)


def test_the_frames_that_are_held_do_not_grow_with_the_video(recognizer, film):
    settings = settings_of(recognizer, 0.48, 0.48)
    with open_clip(film, DEFAULT_LIMITS) as clip:
        video = windows.start_pass(clip, None, pictures=True)
        cutter, held, with_picture = windows._Cutter(video, settings), [], []
        for frame in video.stream.frames:
            cutter.add([len(held)], np.zeros((1, 12, 16, 2), dtype=np.int8))
            list(cutter.complete_windows())
            held.append(len(cutter._entries))
            with_picture.append(sum(entry.frame.picture is not None for entry in cutter._entries))
            assert frame.frame_type in "IP"
    assert max(held[30:]) == max(held[:30]) <= 26  # two windows
    assert max(with_picture) <= 12  # those near the middle of two windows


def test_windows_share_the_keyframes_of_pick_key(recognizer, film):
    settings = settings_of(recognizer, 0.4, 0.08, pick="key")
    found = read(film, settings)
    sent = [number for window in found for number, _ in window.images]
    assert sent == [0, 12, 24, 36, 48, 60]
    assert {number for window in found for number in window.keyframes} == set(sent)
    assert len(found) > 3 * len(sent)


def test_motion_alone_needs_no_pictures(recognizer, film):
    settings = replace(settings_of(recognizer, 0.48, 0.24), keyframes=0)
    both = read(film, settings_of(recognizer, 0.48, 0.24))
    alone = read(film, settings)
    assert all(not window.images and not window.keyframes for window in alone)
    for one, other in zip(both, alone, strict=True):
        np.testing.assert_array_equal(one.fields, other.fields)


def test_a_codec_without_vectors_is_reencoded_if_the_settings_say_so(recognizer, tmp_path):
    path = str(encode(tmp_path / "film.webm", pictures(40), codec="libvpx-vp9", cpu_used="8"))
    settings = settings_of(recognizer, 0.48, 0.48)
    assert sentence_of(read, path, settings).startswith(f"{path}: codec vp9 exports no motion vectors; set motion")
    auto = replace(settings, motion=replace(settings.motion, reencode="auto"))
    found = read(path, auto)
    assert [window.reason for window in found] == [""] * 4
    # The vectors are those of the re-encoded clip: its first window equals a decoded clip of the same frames.
    cut = encode(tmp_path / "cut.webm", pictures(40)[:12], codec="libvpx-vp9", cpu_used="8")
    field = decode(str(cut), 1, "middle", auto.motion).field
    assert field.reencoded
    assert found[0].fields.shape[1] == auto.net.frames


def test_a_video_that_turns_out_to_be_interlaced_is_reencoded_from_its_start(recognizer, film, monkeypatch):
    started = []
    start_pass = windows.start_pass

    def start(clip, reencode, pictures):
        started.append(reencode)
        video = start_pass(clip, reencode, pictures)
        return video if reencode else replace(video, stream=replace(video.stream, frames=failing(video.stream.frames)))

    def failing(frames):
        for number, frame in enumerate(frames):
            if number == 30:
                raise windows.UnusableVectorsError
            yield frame

    settings = settings_of(recognizer, 0.4, 0.2)
    expected = [(window.start, window.keyframes) for window in read(film, settings)]
    monkeypatch.setattr(windows, "start_pass", start)
    assert [(window.start, window.keyframes) for window in read(film, settings)] == expected
    assert started == [None, AUTO]
    (short,) = read(film, settings_of(recognizer, 5.0, 1.0))
    assert short.keyframes == (FRAMES // 2,)


def test_a_window_without_vectors_says_why(recognizer, tmp_path):
    path = str(encode(tmp_path / "film.avi", pictures(24), gop=1))
    (window, _) = read(path, settings_of(recognizer, 0.48, 0.48))
    assert window.reason.startswith(f"{path}: it has only I-frames")
    (answer, _) = timeline.classify_windows(
        recognizer, [window, window], settings_of(recognizer, 1, 1), timeline.Cost()
    )
    assert answer.probabilities is None


def test_times_go_on_where_those_of_the_container_start_again(recognizer, tmp_path):
    parts = [encode(tmp_path / f"{number}.ts", pictures(30), codec="mpeg2video", gop=10) for number in range(2)]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    found = read(str(joined), settings_of(recognizer, 0.4, 0.4))
    assert [window.start for window in found] == pytest.approx([0.4 * number for number in range(6)])


def cut_with_gap(film, settings, first, gap):
    """The complete windows of a film whose frames from `first` on are `gap` seconds later."""
    with open_clip(film, DEFAULT_LIMITS) as clip:
        video = windows.start_pass(clip, None, pictures=True)
        cutter, found = windows._Cutter(video, settings), []
        for number, _ in enumerate(video.stream.frames):
            frame = video.frames.pop()
            video.frames.append(replace(frame, time=frame.time + gap * (number >= first)))
            cutter.add([number], np.zeros((1, 12, 16, 2), dtype=np.int8))
            found += cutter.complete_windows()
    return found


def test_a_gap_in_the_times_is_skipped(recognizer, film):
    found = cut_with_gap(film, settings_of(recognizer, 0.4, 0.2), 30, 1e6)
    assert len(found) < 15
    assert found[0].start == 0
    assert found[-1].start > 1e6


def test_the_keyframe_of_a_window_after_a_gap_is_not_from_before_it(recognizer, film):
    found = cut_with_gap(film, settings_of(recognizer, 0.4, 0.36), 45, 3.6)
    after = [window.keyframes for window in found if window.start > 44 / 25]
    assert len(after) >= 2
    assert min(after) >= (45,)


def test_motion_settings_that_fill_frames_fill_them_within_the_window(recognizer, film):
    motion = params.Motion(cell_size=16, accumulate="none", reencode=None, interpolate=True, max_damaged=0.1)
    found = read(film, settings_of(recognizer, 0.48, 0.48, motion=motion))
    assert [window.reason for window in found] == [""] * 6


def test_a_video_that_was_read_leaves_no_decoder_behind(recognizer, film):
    gc.collect()
    gc.disable()  # which would find reference cycles at some time only
    try:
        read(film, settings_of(recognizer, 0.48, 0.48))
        assert [thing for thing in gc.get_objects() if type(thing) is Decoding] == []
    finally:
        gc.enable()
