"""Clips with known motion, and files that are none: a textured picture moved behind a window, encoded with PyAV."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

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

# Runs of B-frames as long as asked for, one reference each way, no frame turned into an I-frame.
CODECS = {
    "mpeg4": {"b_strategy": "0", "sc_threshold": "1000000000", "qmin": "2", "qmax": "2"},
    "mpeg2video": {"b_strategy": "0", "sc_threshold": "1000000000", "qmin": "2", "qmax": "2"},
    "libx264": {"crf": "18", "x264-params": "b-adapt=0:b-pyramid=none:ref=1:weightp=0:weightb=0:scenecut=0"},
    "libx265": {"x265-params": "log-level=none"},
}


def real(path):
    """The path of real footage, or a skip that says what is missing."""
    if not path.is_file():
        pytest.skip(f"real footage is not at {path}")
    return path


def texture(height, width, seed=0):
    """Smooth noise, uint8 [height, width]: a search for motion finds its way in it."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width))
    for scale in (4, 8, 16, 32):
        coarse = rng.random((height // scale + 2, width // scale + 2))
        x, y = np.arange(width) / scale, np.arange(height) / scale
        rows = np.array([np.interp(x, np.arange(coarse.shape[1]), row) for row in coarse])
        total += np.array([np.interp(y, np.arange(coarse.shape[0]), column) for column in rows.T]).T
    return ((total - total.min()) / np.ptp(total) * 255).astype(np.uint8)


def moving(right=4, down=2, frames=13, size=(144, 176)):
    """Pictures, uint8 [height, width] grey, whose content moves by (right, down) pixels a frame."""
    height, width = size
    canvas = texture(height + (frames - 1) * abs(down), width + (frames - 1) * abs(right))
    # Content moves right where the window moves left.
    tops, lefts = ([(frames - 1 - i if step > 0 else i) * abs(step) for i in range(frames)] for step in (down, right))
    return [canvas[top : top + height, left : left + width] for top, left in zip(tops, lefts, strict=True)]


def encode(path, pictures, codec="mpeg4", gop=12, b_frames=0, **options):
    """Write grey pictures at 25 frames a second; returns the path. options are the codec's own."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options={**CODECS.get(codec, {}), **options})
        stream.height, stream.width = pictures[0].shape
        stream.pix_fmt = "yuv420p"
        stream.codec_context.gop_size, stream.codec_context.max_b_frames = gop, b_frames
        stream.codec_context.thread_count = 1
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="gray").reformat(format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


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
