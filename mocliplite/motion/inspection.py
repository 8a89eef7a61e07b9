"""Inspection of clips: codec, size, frame types, and motion vectors or the reason why there are none."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from mocliplite.motion import extraction
from mocliplite.video import streams
from mocliplite.video.vectors import motion_vectors, read_frames

PREVIEW_FRAMES = 48  # a codec with vectors exports some within so many frames
HEADER = (
    f"{'codec':8} {'size':>9} {'fps':>6} {'frames':>6} {'I':>4} {'P':>4} {'B':>4} {'vectors/frame':>13} {'damaged':>7}"
    "  clip"
)


@dataclass(frozen=True)
class Inspection:
    """The properties of a clip."""

    path: str
    info: streams.Info
    frame_types: Counter[str]
    seconds: float
    vectors: int
    damaged: float  # fraction of frames
    interlaced: bool
    no_vectors_reason: str  # empty if there are vectors

    @property
    def frames(self) -> int:
        """Number of decoded frames."""
        return self.frame_types.total()


@dataclass(frozen=True)
class Preview:
    """The properties of the first frames of a clip."""

    codec: str
    frames: int  # at most PREVIEW_FRAMES
    vectors: bool  # whether any of the frames has vectors


def preview(path: str, limits: streams.Limits) -> Preview:
    """Read the first frames of a clip. Raises UserError for a clip that cannot be read."""
    frames = 0
    for _, vectors in islice(motion_vectors(path, limits), PREVIEW_FRAMES):
        frames += 1
        if len(vectors):
            return Preview(streams.info(path, limits).codec, frames, True)
    return Preview(streams.info(path, limits).codec, frames, False)


def inspect(path: str, limits: streams.Limits = streams.DEFAULT_LIMITS) -> Inspection:
    """Decode a whole clip. Raises UserError for a clip that cannot be read."""
    clip = read_frames(path, limits=limits)
    frame_types, seconds = Counter(clip.frame_types), float(clip.time[-1])
    damaged = extraction.damaged_share(clip)
    reason = "" if clip.vectors else extraction.no_vectors_reason(clip.info.codec, clip.frame_types)
    return Inspection(path, clip.info, frame_types, seconds, clip.vectors, damaged, clip.interlaced, reason)


def table_row(clip: Inspection) -> str:
    """Return a clip as a row of the table below HEADER."""
    info, frames = clip.info, clip.frames
    shares = " ".join(f"{clip.frame_types[kind] / frames:4.0%}" for kind in "IPB")
    size, vectors = f"{info.width}x{info.height}", clip.vectors / frames
    columns = f"{info.codec:8} {size:>9} {info.fps:6.2f} {frames:6} {shares}"
    remarks = [clip.no_vectors_reason, "interlaced" if clip.interlaced else "", _pixel_shape(info.pixel_aspect)]
    remark = "; ".join(filter(None, remarks))
    return f"{columns} {vectors:13.1f} {clip.damaged:7.0%}  {clip.path}  {remark}".rstrip()


def _pixel_shape(aspect: float) -> str:
    return "" if aspect == 1 else f"pixel aspect ratio {aspect:.3g}"


def summary(clips: Iterable[Inspection], unreadable: int) -> str:
    """Return the number of clips and frames, by codec, and the number of clips with motion vectors."""
    inspected = list(clips)
    frames, minutes = sum(clip.frames for clip in inspected), sum(clip.seconds for clip in inspected) / 60
    by_codec = Counter(clip.info.codec for clip in inspected).most_common()
    codecs = ", ".join(f"{name} {count}" for name, count in by_codec)
    lines = [f"clips: {len(inspected)}, frames: {frames}, minutes: {minutes:.1f}, codecs: {codecs}"]
    lines.append(f"with motion vectors: {sum(not clip.no_vectors_reason for clip in inspected)}")
    without_vectors = sum(bool(clip.no_vectors_reason) for clip in inspected)
    if without_vectors:
        lines.append(f"without: {without_vectors}; motion.reencode: auto re-encodes them in memory")
    damaged = sum(clip.damaged > 0 for clip in inspected)
    if damaged:
        lines.append(f"damaged: {damaged}; motion.max_damaged decides which are used")
    if unreadable:
        lines.append(f"cannot be read: {unreadable}; see above")
    return "\n".join(lines)
