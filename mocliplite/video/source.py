"""A file as libavformat reads it: a read error is the machine's fault, never the end of the clip."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from mocliplite.errors import MachineError, UserError


class Source:
    """A file object for `av.open`. `failure` is the first error of a read, which FFmpeg would take for the end."""

    def __init__(self, path: str | Path) -> None:
        self.path, self.failure = path, ""
        self._file = _open(path)
        # FFmpeg guesses some formats from the ending alone. The rest of the name may hold anything.
        ending = Path(path).suffix
        self.name = f"clip{ending if ending.isascii() and ending.isprintable() else ''}"
        self.size = os.fstat(self._file.fileno()).st_size

    def read(self, size: int) -> bytes:
        """The next bytes, none at the end."""
        try:
            return self._file.read(size)
        except OSError as error:
            self.failure = self.failure or error.strerror or type(error).__name__
            raise

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place; returns it."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Where the next read begins."""
        return self._file.tell()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def check(self) -> None:
        """Raise MachineError where a read has failed."""
        if self.failure:
            raise MachineError(f"{self.path} could not be read ({self.failure}); see to its disk, then run again.")

    def head(self, size: int) -> bytes:
        """The first bytes of the file."""
        place = self.tell()
        self.seek(0)
        content = self.read(size)
        self.seek(place)
        return content


def _open(path: str | Path) -> BinaryIO:
    try:
        # Not opened before it is known to be a file: a FIFO would wait for a writer.
        if not stat.S_ISREG(Path(path).stat().st_mode):
            raise FileNotFoundError
        return Path(path).open("rb", buffering=0)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise UserError(f"{path} is not a file; check the path.") from None
    except OSError as error:
        raise MachineError(f"{path} could not be read ({error.strerror}); see to its disk, then run again.") from None
