"""Windows of a live stream as they come, with reconnection, and without falling behind."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from mocliplite import params
from mocliplite.errors import UserError
from mocliplite.predict.windows import Window, WindowSettings, cut_windows
from mocliplite.video.decoding import UnusableVectorsError
from mocliplite.video.live import STDIN, open_live
from mocliplite.video.streams import Limits
from mocliplite.video.vectors import AUTO

QUEUE = 8  # windows that wait for the networks; beyond it, the oldest is dropped
_BATCH = 4  # frames, a sixth of a second
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 30.0  # seconds before a new connection is tried


@dataclass
class LiveCounts:
    """What happened to a stream so far."""

    dropped: int = 0  # windows
    connections: int = 0


class LiveWindows:
    """Reads a stream in a thread, and yields its windows.

    After a lost connection it connects again, at first after a second, then after twice as long each time. The times of
    windows go on with the time that has passed. Standard input is read to its end, and no window of it is dropped.
    """

    def __init__(self, address: str, settings: WindowSettings, limits: Limits, notice: Callable[[str], None]) -> None:
        """notice: is called with a sentence for each lost connection."""
        self.counts = LiveCounts()
        self._address, self._limits, self._notice = address, limits, notice
        self._settings = replace(settings, batch=_BATCH)
        self._reencode = settings.motion.reencode if isinstance(settings.motion.reencode, params.Reencode) else None
        self._waiting: deque[Window] = deque()
        self._changed = threading.Condition()
        self._ended, self._found_windows = False, False
        self._next_number = 0  # of the first keyframe of the next connection
        self._error: Exception | None = None

    def __iter__(self) -> Iterator[Window]:
        """Yield the windows until standard input ends. Raises UserError for a stream that cannot be used."""
        threading.Thread(target=self._run, daemon=True).start()
        while True:
            with self._changed:
                # With a time limit, an interrupt from the keyboard is not held back.
                while not self._waiting and not self._ended:
                    self._changed.wait(1.0)
                if not self._waiting:
                    break
                window = self._waiting.popleft()
                self._changed.notify_all()
            yield window
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            self._read_all()
        except Exception as error:  # noqa: BLE001  raised by the reader
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _read_all(self) -> None:
        if self._address == STDIN:
            try:
                self._read(0.0)
            except UnusableVectorsError:
                raise UserError("- is interlaced, and cannot be read again; set motion.reencode.") from None
            return
        begin, wait = time.monotonic(), _FIRST_WAIT
        while True:
            # A multiple of the stride, as the times of all windows.
            passed = -(-(time.monotonic() - begin) // self._settings.stride) * self._settings.stride
            connected = time.monotonic()
            try:
                self._read(passed if self.counts.connections else 0.0)
                reason = f"{self._address} ended."
            except UnusableVectorsError:
                self._reencode = AUTO
                continue
            except UserError as error:
                if not self._found_windows:
                    raise
                reason = str(error)
            wait = _FIRST_WAIT if time.monotonic() - connected > _LONGEST_WAIT else wait
            self._notice(f"{reason} Connecting again in {wait:g} s.")
            time.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT)

    def _read(self, start: float) -> None:
        """Read one connection, whose first frame comes `start` seconds after that of the first connection."""
        first_number = self._next_number
        with open_live(self._address, self._limits) as stream:
            self.counts.connections += 1
            for window in cut_windows(stream, self._settings, self._reencode):
                shifted = replace(
                    window,
                    start=window.start + start,
                    end=window.end + start,
                    keyframes=tuple(number + first_number for number in window.keyframes),
                    images=tuple((number + first_number, image) for number, image in window.images),
                )
                self._found_windows = True
                self._next_number = max([self._next_number, *(number + 1 for number in shifted.keyframes)])
                self._put(shifted)

    def _put(self, window: Window) -> None:
        with self._changed:
            while len(self._waiting) >= QUEUE and self._address == STDIN:
                self._changed.wait()
            self._waiting.append(window)
            if len(self._waiting) > QUEUE:
                oldest, following = self._waiting.popleft(), self._waiting.popleft()
                # A later window may need the keyframes of the dropped one.
                needed = min(following.keyframes, default=0)
                kept = tuple((number, image) for number, image in oldest.images if number >= needed)
                self._waiting.appendleft(replace(following, images=kept + following.images))
                self.counts.dropped += 1
            self._changed.notify_all()
