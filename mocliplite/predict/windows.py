"""Sliding windows over a video of any length, in one pass and bounded memory, as the networks get them."""

import math
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from mocliplite import params
from mocliplite.errors import UserError
from mocliplite.motion import extraction
from mocliplite.motion.field import Field
from mocliplite.motion.scatter import BATCH_FRAMES
from mocliplite.motion_net import sampling
from mocliplite.motion_net.footage import Footage, footage_of
from mocliplite.video.decoding import UnusableVectorsError
from mocliplite.video.frames import picture_of
from mocliplite.video.keyframes import read_keyframes, segment_centres
from mocliplite.video.one_pass import Pass, PassedFrame, start_pass
from mocliplite.video.streams import Limits, OpenStream, open_clip
from mocliplite.video.vectors import AUTO, EXPORTING, ClipFrames

_TOLERANCE = 1e-6  # seconds, for the rounding of times


@dataclass(frozen=True)
class WindowSettings:
    """Which windows are cut, and what the networks need of each."""

    length: float  # seconds
    stride: float  # seconds from the start of a window to that of the next one, at most the length
    motion: params.Motion
    net: params.MotionNet
    keyframes: int  # per window; 0 for motion alone
    pick: str  # as encoder.pick
    batch: int = BATCH_FRAMES  # frames whose vectors are converted at a time; fewer take longer, but come earlier


@dataclass(frozen=True)
class Window:
    """A window of a video."""

    start: float  # seconds from the first frame
    end: float
    fields: np.ndarray | None = None  # float16 [P, frames, 3, rows, cols], at the P different positions of the views
    keyframes: tuple[int, ...] = ()  # numbers of the frames
    images: tuple[tuple[int, np.ndarray], ...] = ()  # of keyframes that no earlier window has, RGB uint8 [H, W, 3]
    reason: str = ""  # why it cannot be classified, a sentence
    seconds: float = 0.0  # processor time since the last window
    arrived: float = 0.0  # time.monotonic() when its last frame was decoded
    footage: Footage | None = None  # None if it cannot be classified


def different_positions(net: params.MotionNet) -> tuple[np.ndarray, np.ndarray]:
    """Return the different positions of the fields of all views, float64 [P, frames], and the row of each view."""
    positions = np.stack([sampling.view_positions(net, view) for view in net.views])
    different, of_view = np.unique(positions, axis=0, return_inverse=True)
    return different, of_view.ravel()


def read_windows(path: str, settings: WindowSettings, limits: Limits) -> Iterator[Window]:
    """Yield the windows of a file in order: those that start at multiples of the stride, and one that ends at its end.

    A file shorter than a window is one window. Raises UserError for a file that cannot be used.
    """
    count = 0
    reencode = settings.motion.reencode if isinstance(settings.motion.reencode, params.Reencode) else None
    try:
        with open_clip(path, limits) as clip:
            for window in cut_windows(clip, settings, reencode):
                yield _with_own_keyframes(path, window, settings, limits)
                count += 1
    except UnusableVectorsError:
        with open_clip(path, limits) as clip:
            for window in islice(cut_windows(clip, settings, AUTO), count, None):
                yield _with_own_keyframes(path, window, settings, limits)
                count += 1
    if not count:
        raise UserError(f"{path} is shorter than any window, because of its times; correct its frame rate.")


def _with_own_keyframes(path: str, window: Window, settings: WindowSettings, limits: Limits) -> Window:
    """Return a window, with the keyframes of the file if it is the whole of a shorter file: it was not known before."""
    if window.end - window.start > settings.length - _TOLERANCE or not settings.keyframes or window.reason:
        return window
    keyframes = read_keyframes(path, settings.keyframes, settings.pick, limits)
    images = {keyframe.frame: keyframe.image for keyframe in keyframes}
    return replace(window, keyframes=tuple(keyframe.frame for keyframe in keyframes), images=tuple(images.items()))


def cut_windows(clip: OpenStream, settings: WindowSettings, reencode: params.Reencode | None) -> Iterator[Window]:
    """Yield the windows of an open video as they become complete.

    reencode: the settings to re-encode the video with; a codec without vectors is re-encoded if motion.reencode is
    auto. Raises UnusableVectorsError for a video that has to be re-encoded, and UserError for one that cannot be used.
    """
    if reencode is None and clip.info.codec not in EXPORTING:
        if settings.motion.reencode != "auto":
            raise UserError(f"{clip.path}: {extraction.no_vectors_reason(clip.info.codec, '')}")
        reencode = AUTO
    video = start_pass(clip, reencode, pictures=settings.keyframes > 0)
    cutter = _Cutter(video, settings)
    started = time.process_time()
    for window in _cut(video, cutter, settings):
        yield replace(window, seconds=time.process_time() - started)
        started = time.process_time()


def _cut(video: Pass, cutter: "_Cutter", settings: WindowSettings) -> Iterator[Window]:
    for numbers, cells, _ in extraction.motion_batches(video.stream, settings.motion, cutter.held, settings.batch):
        cutter.add(numbers, cells)
        yield from cutter.complete_windows()
    yield from cutter.last_windows()


@dataclass
class _Entry:
    """A frame that a window may need."""

    number: int
    frame: PassedFrame  # its picture is dropped if no window needs it
    cells: np.ndarray | None = None  # int8 [rows, cols, 2], once they are known
    sample: np.ndarray | None = None  # float16 [3, rows, cols], once a window needed it


class _Cutter:
    """The frames since the start of the next window, and the number of that window."""

    def __init__(self, video: Pass, settings: WindowSettings) -> None:
        self._video, self._settings = video, settings
        self._finish = extraction.finish_of(video.stream, settings.motion)
        self._positions, _ = different_positions(settings.net)
        self._entries: deque[_Entry] = deque()
        self._complete = 0  # number of the first frame whose cells are not known
        self._next = 0  # number of the next window
        self._end = 0.0  # of the last window
        self._last_intra: _Entry | None = None  # before the entries
        self._sent: set[int] = set()  # numbers of the keyframes of earlier windows

    def held(self) -> int:
        """Return the bytes of all cells."""
        return sum(entry.cells.nbytes for entry in self._entries if entry.cells is not None)

    def add(self, numbers: list[int], cells: np.ndarray) -> None:
        """Add the frames that were decoded since the last call, and the cells of some frames."""
        while self._video.frames:
            self._append(self._video.frames.popleft())
        first = self._entries[0].number
        for number, finished in zip(numbers, self._finish(cells), strict=True):
            self._entries[number - first].cells = finished
        while self._complete < first + len(self._entries) and self._entries[self._complete - first].cells is not None:
            self._complete += 1

    def complete_windows(self) -> Iterator[Window]:
        """Yield the windows that end before the last frame with known cells."""
        while self._entries and self._complete > self._entries[0].number:
            latest = self._entries[self._complete - 1 - self._entries[0].number].frame.time
            start = self._next * self._settings.stride
            if latest < start + self._settings.length - _TOLERANCE:
                return
            yield from self._window(start, start + self._settings.length)
            self._next += 1
            self._skip_gap(start + self._settings.stride)
            self._drop_before(start)

    def last_windows(self) -> Iterator[Window]:
        """Yield the rest at the end of the video: windows up to the time at which the last frame ends."""
        times = [entry.frame.time for entry in self._entries]
        interval = times[-1] - times[-2] if len(times) > 1 else self._video.interval
        duration, length = times[-1] + interval, self._settings.length
        while (start := self._next * self._settings.stride) + length <= duration + interval / 2:
            yield from self._window(start, start + length)
            self._next += 1
        if self._end < duration - interval / 2:
            yield from self._window(max(0.0, duration - length), duration)

    def _append(self, frame: PassedFrame) -> None:
        number = self._entries[-1].number + 1 if self._entries else self._complete
        if self._settings.pick == "key":
            frame = frame if frame.intra else replace(frame, picture=None)
        elif self._entries:
            # The frames on both sides of the middle of a window are kept, and two more on each side, since the number
            # of frames in a window varies.
            margin, before = 2 * self._video.interval, self._entries[-1]
            at = before.frame.time
            last = self._entries[-2].frame.time if len(self._entries) > 1 else at
            if not self._has_centre(min(last, at - margin), max(frame.time, at + margin)):
                before.frame = replace(before.frame, picture=None)
        self._entries.append(_Entry(number, frame))

    def _has_centre(self, low: float, high: float) -> bool:
        """Return whether the middle of a segment of any window lies between two times."""
        count, length, stride = self._settings.keyframes, self._settings.length, self._settings.stride
        offsets = ((2 * segment + 1) * length / (2 * count) for segment in range(count))
        return any(math.floor((high - at) / stride) >= max(0, math.ceil((low - at) / stride)) for at in offsets)

    def _skip_gap(self, start: float) -> None:
        """Go on to the next window that contains a frame, where the times of the frames have a gap."""
        following = next((entry.frame.time for entry in self._entries if entry.frame.time >= start), start)
        if following >= start + self._settings.length:
            self._next = math.floor((following - self._settings.length) / self._settings.stride) + 1

    def _drop_before(self, start: float) -> None:
        while len(self._entries) > 1 and self._entries[0].frame.time < start - _TOLERANCE:
            dropped = self._entries.popleft()
            if dropped.frame.intra:
                self._last_intra = dropped
        oldest = self._last_intra or self._entries[0]
        self._sent = {number for number in self._sent if number >= oldest.number}

    def _window(self, start: float, end: float) -> Iterator[Window]:
        """Yield the window, or none if no frame is in it."""
        times = (start - _TOLERANCE, end - _TOLERANCE)
        entries = [entry for entry in self._entries if times[0] <= entry.frame.time < times[1]]
        if not entries:
            return
        self._end = end
        try:
            field = self._field(entries)
            keyframes = self._keyframes(entries)
            images = [(entry.number, self._image(entry)) for entry in keyframes if entry.number not in self._sent]
        except UserError as error:
            yield Window(start, end, reason=str(error), arrived=entries[-1].frame.arrived)
            return
        self._sent |= {number for number, _ in images}
        numbers = tuple(entry.number for entry in keyframes)
        shown, samples = tuple(dict(images).items()), self._samples(entries, field)
        footage = footage_of(vars(field))
        yield Window(start, end, samples, numbers, shown, arrived=entries[-1].frame.arrived, footage=footage)

    def _field(self, entries: list[_Entry]) -> Field:
        """Return the motion field of a window, as that of a file with these frames. Raises UserError without one."""
        frames, video = [entry.frame for entry in entries], self._video
        vectors = sum(frame.vectors for frame in frames)
        if not vectors and not video.reencoded and self._settings.motion.reencode == "auto" and not self._next:
            raise UnusableVectorsError
        clip = ClipFrames(
            info=video.info,
            reencoded=video.reencoded,
            interlaced=False,
            orientation=video.stream.orientation,
            frame_types=[frame.frame_type for frame in frames],
            damaged=[index for index, frame in enumerate(frames) if frame.damaged],
            lost=[index for index, frame in enumerate(frames) for _ in range(frame.lost)],
            time=np.array([frame.time - frames[0].time for frame in frames]),
            vectors=vectors,
        )
        if not vectors and extraction.damaged_share(clip) <= self._settings.motion.max_damaged:
            reason = extraction.no_vectors_reason(video.info.codec, clip.frame_types)
            raise UserError(f"{video.stream.path}: {reason}")
        grid = np.stack([entry.cells for entry in entries if entry.cells is not None])
        return extraction.field_of(video.stream.path, clip, grid, {}, self._settings.motion)

    def _samples(self, entries: list[_Entry], field: Field) -> np.ndarray:
        """Return the fields of a window as the network gets them: float16 [P, frames, 3, rows, cols]."""
        net, size = self._settings.net, (field.height, field.width)
        frames = [sampling.frames_at(field.kind, positions) for positions in self._positions]
        # With interpolation, the vectors of a frame depend on the window.
        wanted = sorted(
            {
                index
                for index in np.concatenate(frames).tolist()
                if self._settings.motion.interpolate or entries[index].sample is None
            }
        )
        if wanted:
            samples = sampling.sample_fields(
                field.vectors[wanted], size, (net.rows, net.cols), net.remove_global_motion
            )
            for index, sample in zip(wanted, samples, strict=True):
                entries[index].sample = sample
        return np.stack([[entries[index].sample for index in row] for row in frames])

    def _keyframes(self, entries: list[_Entry]) -> list[_Entry]:
        """Return the keyframes of a window: those of a file with these frames, or the nearest that are still held."""
        count = self._settings.keyframes
        if not count:
            return []
        with_picture = [index for index, entry in enumerate(entries) if entry.frame.picture is not None]
        if not with_picture:
            before = [entry for entry in self._entries if entry.frame.picture and entry.number < entries[0].number]
            latest = before[-1] if before else self._last_intra
            if latest is None:
                raise UserError(f"{self._video.stream.path} begins without an I-frame; set encoder.pick to middle.")
            return [latest] * count
        centres = segment_centres(len(entries), count)
        return [entries[min(with_picture, key=lambda index: abs(index - centre))] for centre in centres]

    def _image(self, entry: _Entry) -> np.ndarray:
        assert entry.frame.picture is not None
        if entry.frame.damaged:
            raise UserError(f"{self._video.stream.path}: the keyframe is damaged.")
        return picture_of(entry.frame.picture).image
