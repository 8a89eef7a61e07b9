"""Segments of a file: the motion fields and keyframes of the same span cut out to a file of its own."""

from dataclasses import replace

import av
import numpy as np
import pytest
from builders import PLAIN, sentence_of
from footage import CLIPS, encode, moving, real, with_noise

from mocliplite.errors import Failure
from mocliplite.motion import extraction
from mocliplite.spans import WHOLE_FILE, Span, span_of
from mocliplite.video import frames
from mocliplite.video.keyframes import read_keyframes, read_keyframes_of_spans
from mocliplite.video.spans import frame_range
from mocliplite.video.vectors import read_frames

pytestmark = pytest.mark.usefixtures("folder")

LUNGES = CLIPS.parent / "ucf101_six/Lunges/v_Lunges_g10_c03.avi"
INTERPOLATED = replace(PLAIN, interpolate=True, cell_size=16)
SINCE_INTRA = replace(PLAIN, accumulate="gop")


def key_packets(path):
    """Return the number of each packet at which a decoder can start, and the seconds of its frame."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        first = min(packet.pts for packet in packets if packet.pts is not None)
        keys = [number for number, packet in enumerate(packets) if packet.is_keyframe]
        return keys, [float((packets[number].pts - first) * packets[number].time_base) for number in keys]


def cut_out(source, path, start, stop):
    """Copy the packets from start to stop, the first at time 0, as `ffmpeg -ss -t -c copy` does at key frames."""
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        packets = [packet for packet in old.demux(video=0) if packet.size][start:stop]
        first = packets[0].dts
        for packet in packets:
            packet.pts, packet.dts, packet.stream = packet.pts - first, packet.dts - first, stream
            new.mux(packet)
    return path


def assert_equal(found, cut):
    assert np.array_equal(found.vectors, cut.vectors)
    assert np.array_equal(found.kind, cut.kind)
    assert np.allclose(found.time, cut.time, rtol=0, atol=1e-3)  # some containers round to milliseconds
    for name in ("codec", "width", "height", "clipped", "damaged", "reencoded"):
        assert getattr(found, name) == getattr(cut, name), name


@pytest.mark.parametrize("settings", [PLAIN, INTERPOLATED, SINCE_INTRA])
@pytest.mark.parametrize(("name", "codec", "b_frames"), [("a.avi", "mpeg4", 0), ("a.mp4", "libx264", 2)])
def test_a_segment_has_the_values_of_the_same_span_cut_out_at_key_frames(name, codec, b_frames, settings):
    # So fast that some vectors are clipped.
    path = encode(name, moving(right=33, frames=37), codec, gop=12, b_frames=b_frames)
    keys, times = key_packets(path)
    spans = [Span(start, end) for start, end in zip(times, [*times[1:], None], strict=True)]
    assert len(spans) >= 3

    found = extraction.motion_fields(path, spans, settings)

    for field, start, stop in zip(found[:-1], keys, keys[1:], strict=False):
        assert_equal(field, extraction.motion_field(cut_out(path, f"cut_{name}", start, stop), settings))


@pytest.mark.parametrize("path", [CLIPS / "arm_wrestling.mp4", LUNGES], ids=["h264", "mpeg4"])
def test_a_segment_of_real_footage_has_the_values_and_keyframes_of_the_same_span_cut_out(path):
    keys, times = key_packets(real(path))
    cut = cut_out(path, f"cut{path.suffix}", keys[1], keys[3])
    span = Span(times[1], times[3])

    (field,) = extraction.motion_fields(path, [span], PLAIN)
    (keyframes,) = read_keyframes_of_spans(path, [span], 2, "middle")

    assert_equal(field, extraction.motion_field(cut, PLAIN))
    for found, wanted in zip(keyframes, read_keyframes(cut, 2, "middle"), strict=True):
        assert found.frame == wanted.frame
        assert np.array_equal(found.image, wanted.image)


def test_a_file_is_decoded_once_for_all_of_its_spans(monkeypatch):
    path = encode("a.mp4", moving(frames=40), "libx264", gop=8)
    opened, read_vectors = [], extraction.read_vectors
    monkeypatch.setattr(
        extraction, "read_vectors", lambda *given, **named: opened.append(given) or read_vectors(*given, **named)
    )
    whole = extraction.motion_field(path, PLAIN)
    del opened[:]

    spans = [Span(0.2, 0.8), Span(0.6, 1.0), WHOLE_FILE, Span(None, 0.2), Span(1.2, None)]
    found = extraction.motion_fields(path, spans, PLAIN)

    assert len(opened) == 1
    parts = [(5, 20), (15, 25), (0, 40), (0, 5), (30, 40)]
    for field, (first, last) in zip(found, parts, strict=True):
        assert np.array_equal(field.vectors, whole.vectors[first:last])
        assert field.time[0] == 0


def test_spans_that_overlap_do_not_change_each_other():
    path = encode("a.avi", moving(frames=25), b_frames=2)
    spans = [Span(0.12, 0.6), Span(0.24, 0.8), WHOLE_FILE]

    together = extraction.motion_fields(path, spans, INTERPOLATED)

    for field, span in zip(together, spans, strict=True):
        assert_equal(field, *extraction.motion_fields(path, [span], INTERPOLATED))


@pytest.mark.parametrize(("name", "codec"), [("a.avi", "mpeg4"), ("a.mp4", "libx264"), ("a.ts", "mpeg2video")])
@pytest.mark.parametrize("pick", ["middle", "key"])
def test_keyframes_of_a_span_are_those_of_its_frames(name, codec, pick):
    path = encode(name, moving(frames=40), codec, gop=8)
    spans = [Span(0.2, 0.8), Span(1.2, None), Span(0.4, 0.68)]

    found = read_keyframes_of_spans(path, spans, 2, pick)

    # Of the frames 5 to 19, 30 to 39 and 10 to 16; key frames are 0, 8, 16, 24 and 32.
    wanted = {"middle": [[8, 16], [32, 37], [11, 15]], "key": [[8, 16], [32, 32], [16, 16]]}[pick]
    firsts = [5, 30, 10]
    decoded = frames.pictures(path, range(40))
    for keyframes, indices, first in zip(found, wanted, firsts, strict=True):
        assert [keyframe.frame + first for keyframe in keyframes] == indices
        assert [round(keyframe.time * 25) for keyframe in keyframes] == [index - first for index in indices]
        for keyframe, index in zip(keyframes, indices, strict=True):
            assert np.array_equal(keyframe.image, decoded[index])


def test_only_the_frames_that_lead_to_the_keyframes_of_spans_are_decoded(monkeypatch):
    path = encode("a.mp4", moving(frames=60), "libx264", gop=6)
    packets, decode_packets = [], frames.decode_packets
    monkeypatch.setattr(
        frames,
        "decode_packets",
        lambda decoder, given, first=0: packets.append(len(given)) or decode_packets(decoder, given, first),
    )
    read_keyframes_of_spans(path, [Span(0, 0.2), Span(1.2, 1.4), Span(2.2, 2.4)], 1, "middle")
    assert len(packets) == 3
    assert sum(packets) <= 18


@pytest.mark.parametrize(
    ("span", "reason"),
    [
        (Span(0.4, 1.1), "a.avi lasts 1.00 s, so it does not contain the span 0.4-1.1 s; {}, or replace the file."),
        (Span(1.0, None), "a.avi lasts 1.00 s, so it does not contain the span 1-end s; {}, or replace the file."),
        (Span(0.41, 0.43), "a.avi has no frame in the span 0.41-0.43 s; {}."),
    ],
)
def test_a_span_that_is_not_in_the_file_is_a_failure_of_the_clip_alone(span, reason):
    path = encode("a.avi", moving(frames=25))
    expected = Failure(reason.format("correct the start or end of the clip"))
    fine = Span(0.4, 1.04)  # one frame longer than the file

    field, failure = extraction.motion_fields(path, [fine, span], PLAIN)
    keyframe, keyframe_failure = read_keyframes_of_spans(path, [fine, span], 1, "middle")

    assert (failure, keyframe_failure) == (expected, expected)
    assert (len(field.time), len(keyframe)) == (15, 1)


def test_a_span_without_vectors_or_with_too_few_frames_is_a_failure():
    path = encode("a.avi", moving(frames=25), gop=12)
    (failure,) = extraction.motion_fields(path, [Span(0.48, 0.52)], PLAIN)
    expected = "a.avi (0.48-0.52 s) has no frame with motion vectors; choose a longer span or remove the clip."
    assert failure == Failure(expected)
    too_few, no_intra = read_keyframes_of_spans(path, [Span(0.48, 0.52)], 2, "middle") + read_keyframes_of_spans(
        path, [Span(0.52, 0.6)], 1, "key"
    )
    expected = "a.avi (0.48-0.52 s) has 1 frames, but encoder.frames is 2; lower encoder.frames or remove the clip."
    assert too_few == Failure(expected)
    assert no_intra == Failure("a.avi (0.52-0.6 s) has no I-frame; set encoder.pick to middle.")


def test_damaged_frames_count_in_the_segments_that_contain_them():
    path = with_noise(encode("whole.mp4", moving(frames=48), "libx264", gop=12), "a.mp4", 30)

    fields = extraction.motion_fields(path, [Span(0, 0.96), Span(0.96, 1.92)], replace(PLAIN, max_damaged=0.9))

    assert fields[0].damaged == 0
    assert fields[1].damaged > 0
    whole = extraction.motion_field(path, replace(PLAIN, max_damaged=0.9))
    assert whole.damaged * 48 == pytest.approx(fields[1].damaged * 24)


def test_packets_that_are_lost_count_in_the_segments_that_contain_them():
    path = encode("a.avi", moving(frames=40))
    clip = replace(
        read_frames(path), lost=[5, 9, 10, 10, 40]
    )  # two of them between the frames 9 and 10, one at the end
    parts = [(0, 10), (10, 30), (30, 40), (0, 40)]
    assert [clip.part(range(*part)).lost for part in parts] == [[5, 9], [0, 0], [10], [5, 9, 10, 10, 40]]


def test_times_that_equal_a_start_belong_to_the_span_in_spite_of_rounding():
    times = [index / 29.97 for index in range(100)]
    assert frame_range("a", Span(times[30] + 1e-9, times[60] - 1e-9), times) == range(30, 60)


@pytest.mark.parametrize("span", [Span(12.5, 15.0), Span(0.0, 100.0), Span(0.25, None)])
def test_a_span_is_read_as_it_is_written(span):
    assert span_of(str(span)) == span


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("3", "3 is not a span of seconds; write it as 12.5-15 or 12.5-end."),
        ("1.2.3-4", "1.2.3-4 is not a span of seconds; write it as 12.5-15 or 12.5-end."),
        ("4-3", "the span 4-3 ends at 3 s, but does not start before, at 4 s; correct one of them."),
    ],
)
def test_a_text_that_is_no_span_is_refused(text, sentence):
    assert sentence_of(span_of, text) == sentence


@pytest.mark.parametrize(
    ("span", "problem"),
    [
        (Span(-1.0, 2.0), "has the start -1; give seconds from the beginning of the file."),
        (Span(None, float("nan")), "has the end nan; give seconds from the beginning of the file."),
        (Span(2.5, 2.5), "ends at 2.5 s, but does not start before, at 2.5 s; correct one of them."),
        (Span(2.0, 1.0), "ends at 1 s, but does not start before, at 2 s; correct one of them."),
        (Span(None, 0.0), "ends at 0 s, but does not start before, at 0 s; correct one of them."),
        (Span(1.0, None), ""),
        (WHOLE_FILE, ""),
    ],
)
def test_a_span_that_no_file_can_contain_is_refused(span, problem):
    assert span.problem() == problem


def test_a_file_of_one_frame_is_its_own_span():
    assert frame_range("a", WHOLE_FILE, [0.0]) == range(1)
