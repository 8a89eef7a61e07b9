"""The file object that libavformat reads, so that a read error is reported as one and not as the end of the clip."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from mocliplite.errors import MachineError, UserError


class Source:
    """A file object for `av.open`. `failure` is the first read error, which FFmpeg treats as the end of the file."""

    def __init__(self, path: str | Path) -> None:
        self.path, self.failure = path, ""
        self._file = _open(path)
        # FFmpeg recognises some formats by the file extension alone. The rest of the name may contain any character.
        ending = Path(path).suffix
        self.name = f"clip{ending if ending.isascii() and ending.isprintable() else ''}"
        self.size = os.fstat(self._file.fileno()).st_size

    def read(self, size: int) -> bytes:
        """Return the next bytes, none at the end of the file."""
        try:
            return self._file.read(size)
        except OSError as error:
            self.failure = self.failure or error.strerror or type(error).__name__
            raise

    def seek(self, offset: int, whence: int = 0) -> int:
        """Change the position and return it."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the position."""
        return self._file.tell()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def check(self) -> None:
        """Raise MachineError if a read has failed."""
        if self.failure:
            raise MachineError(f"{self.path} could not be read ({self.failure}); check its disk, then run again.")

    def head(self, size: int) -> bytes:
        """Return the first bytes of the file."""
        position = self.tell()
        self.seek(0)
        content = self.read(size)
        self.seek(position)
        return content


def _open(path: str | Path) -> BinaryIO:
    try:
        # The type is checked first, because opening a FIFO waits for a writer.
        if not stat.S_ISREG(Path(path).stat().st_mode):
            raise FileNotFoundError
        return Path(path).open("rb", buffering=0)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise UserError(f"{path} is not a file; check the path.") from None
    except OSError as error:
        raise MachineError(f"{path} could not be read ({error.strerror}); check its disk, then run again.") from None
