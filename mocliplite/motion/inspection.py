"""What clips hold: codec, size, kinds of frames, and motion vectors or why there are none."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from mocliplite.motion import extraction
from mocliplite.video import streams
from mocliplite.video.vectors import motion_vectors, read_vectors

GLANCED = 48  # frames; a codec that has vectors shows some by then
HEAD = (
    f"{'codec':8} {'size':>9} {'fps':>6} {'frames':>6} {'I':>4} {'P':>4} {'B':>4} {'vectors/frame':>13} {'damaged':>7}"
    "  clip"
)


@dataclass(frozen=True)
class Inspection:
    """One clip, or the sentence that says why it cannot be read."""

    path: str
    info: streams.Info
    kinds: Counter[str]
    seconds: float
    vectors: int
    damaged: float  # share of its frames
    interlaced: bool
    why: str  # empty where it has vectors

    @property
    def frames(self) -> int:
        """How many frames decode."""
        return self.kinds.total()


@dataclass(frozen=True)
class Glance:
    """What the beginning of a clip shows."""

    codec: str
    frames: int  # at most GLANCED
    vectors: bool  # whether any of them has some


def glance(path: str, limits: streams.Limits) -> Glance:
    """Read the first frames of a clip. Raises UserError for a clip that cannot be read."""
    frames = 0
    for _, vectors in islice(motion_vectors(path, limits), GLANCED):
        frames += 1
        if len(vectors):
            return Glance(streams.info(path, limits).codec, frames, True)
    return Glance(streams.info(path, limits).codec, frames, False)


def inspect(path: str, limits: streams.Limits = streams.DEFAULT_LIMITS) -> Inspection:
    """Read a whole clip without its pixels. Raises UserError for a clip that cannot be read."""
    read = read_vectors(path, None, limits)
    kinds, seconds = Counter(read.kinds), float(read.time[-1])
    why = "" if len(read.blocks) else extraction.why_none(read.info.codec, read.kinds)
    return Inspection(
        path, read.info, kinds, seconds, len(read.blocks), extraction.damaged_share(read), read.interlaced, why
    )


def line(clip: Inspection) -> str:
    """One line of the table under HEAD."""
    head, frames = clip.info, clip.frames
    shares = " ".join(f"{clip.kinds[kind] / frames:4.0%}" for kind in "IPB")
    size, vectors = f"{head.width}x{head.height}", clip.vectors / frames
    what = f"{head.codec:8} {size:>9} {head.fps:6.2f} {frames:6} {shares}"
    remarks = [clip.why, "interlaced" if clip.interlaced else "", _shape(head.pixel_aspect)]
    remark = "; ".join(filter(None, remarks))
    return f"{what} {vectors:13.1f} {clip.damaged:7.0%}  {clip.path}  {remark}".rstrip()


def _shape(aspect: float) -> str:
    return "" if aspect == 1 else f"pixels {aspect:.3g} times as wide as high"


def summary(clips: Iterable[Inspection], unreadable: int) -> str:
    """How many clips and frames there are, by codec, and how many give motion."""
    held = list(clips)
    frames, minutes = sum(clip.frames for clip in held), sum(clip.seconds for clip in held) / 60
    codecs = ", ".join(f"{name} {count}" for name, count in Counter(clip.info.codec for clip in held).most_common())
    lines = [f"{len(held)} clips, {frames} frames, {minutes:.1f} minutes: {codecs}"]
    lines.append(f"with motion vectors: {sum(not clip.why for clip in held)}")
    without = sum(bool(clip.why) for clip in held)
    if without:
        lines.append(f"without: {without}; motion.reencode: auto has them encoded in memory")
    damaged = sum(clip.damaged > 0 for clip in held)
    if damaged:
        lines.append(f"damaged: {damaged}; motion.max_damaged decides which of them are used")
    if unreadable:
        lines.append(f"cannot be read: {unreadable}; see above")
    return "\n".join(lines)
