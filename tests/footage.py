"""Encoded clips with known motion, damaged copies of files, and the paths of real footage."""

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
    """Return the path of real footage; skip the test if it does not exist."""
    if not path.is_file():
        pytest.skip(f"real footage is not at {path}")
    return path


def moving(right=4, down=2, frames=13, size=(144, 176)):
    """Return grey pictures, uint8 [height, width] each; their content moves by (right, down) pixels per frame."""
    height, width = size
    canvas = texture(height + (frames - 1) * abs(down), width + (frames - 1) * abs(right))
    # The pictures are a window on a larger picture. Its content moves right if the window moves left.
    tops, lefts = ([(frames - 1 - i if step > 0 else i) * abs(step) for i in range(frames)] for step in (down, right))
    return [canvas[top : top + height, left : left + width] for top, left in zip(tops, lefts, strict=True)]


def with_packets(source, path, start, stop=None):
    """Copy a clip with only its packets from start to stop; return the path of the copy."""
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        new.start_encoding()
        packets = [packet for packet in old.demux(video=0) if packet.size]
        for packet in packets[start:stop]:
            packet.stream = stream
            new.mux(packet)
    return path


def sound(path, codec):
    """Write an audio file with a second of silence; return its path."""
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
    """Copy a file with random bytes from start to stop; return the path of the copy."""
    content = bytearray(Path(source).read_bytes())
    length = len(content[start:stop])
    content[start:stop] = np.random.default_rng(0).bytes(length)
    Path(path).write_bytes(content)
    return path


def with_noise(source, path, number):
    """Copy a clip with noise in the middle half of one packet; all headers stay whole. Return the path of the copy."""
    with av.open(str(source)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][number]
    start = packet.pos + packet.size // 4
    return overwritten(source, path, start, start + packet.size // 2)
