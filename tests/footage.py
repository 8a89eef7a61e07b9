"""Clips with known motion, and files that are none: a textured picture moved behind a window, encoded with PyAV."""

from pathlib import Path

import av
import numpy as np
import pytest

from benchmarks.scenes import CODECS, encode, texture

__all__ = ["CODECS", "encode", "texture"]

CLIPS = Path(__file__).parents[2] / "shared/data/clips"
UT_INTERACTION = CLIPS.parent / "ut_interaction"
EYE_MAKEUP = CLIPS / "v_ApplyEyeMakeup_packed_b.avi"
REAL = [
    EYE_MAKEUP,
    CLIPS / "arm_wrestling.mp4",
    CLIPS / "pool_short.mp4",
    UT_INTERACTION / "kick/set1_9_2_2.avi",
    UT_INTERACTION / "point/set2_28_15_3.avi",
]


def real(path):
    """The path of real footage, or a skip that says what is missing."""
    if not path.is_file():
        pytest.skip(f"real footage is not at {path}")
    return path


def moving(right=4, down=2, frames=13, size=(144, 176)):
    """Pictures, uint8 [height, width] grey, whose content moves by (right, down) pixels a frame."""
    height, width = size
    canvas = texture(height + (frames - 1) * abs(down), width + (frames - 1) * abs(right))
    # Content moves right where the window moves left.
    tops, lefts = ([(frames - 1 - i if step > 0 else i) * abs(step) for i in range(frames)] for step in (down, right))
    return [canvas[top : top + height, left : left + width] for top, left in zip(tops, lefts, strict=True)]


def with_packets(source, path, start, stop=None):
    """A copy of a clip that has only its packets from start to stop."""
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        new.start_encoding()
        packets = [packet for packet in old.demux(video=0) if packet.size]
        for packet in packets[start:stop]:
            packet.stream = stream
            new.mux(packet)
    return path


def sound(path, codec):
    """Write a second of silence."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=8000, layout="mono")
        silence = np.zeros((1, 8000), dtype=np.int16)
        frame = av.AudioFrame.from_ndarray(silence, format="s16", layout="mono")
        frame.sample_rate = 8000
        resampler = av.AudioResampler(format=stream.format.name, layout="mono", rate=8000, frame_size=1024)
        for part in resampler.resample(frame):
            container.mux(stream.encode(part))
        container.mux(stream.encode())
    return path


def overwritten(source, path, start, stop=None):
    """A copy of a file with noise in its bytes from start to stop."""
    content = bytearray(Path(source).read_bytes())
    places = range(len(content))[start:stop]
    content[start:stop] = np.random.default_rng(0).bytes(len(places))
    Path(path).write_bytes(content)
    return path
