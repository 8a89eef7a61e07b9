"""A file system like that of Windows, which neither replaces nor deletes a file that is open or mapped into memory."""

import errno
import os
import tempfile
from pathlib import Path


def refuse_open_files(patch):
    """Let os.replace, os.remove and os.unlink fail as on Windows, for files that this process has open. Linux only."""
    if Path("/proc/self/maps").is_file():
        for name in ("replace", "remove", "unlink"):
            patch.setattr(os, name, refusing(getattr(os, name)))


def refusing(function):
    def call(*paths, **options):
        for path in paths:
            if is_open(path) and "dir_fd" not in options:
                raise PermissionError(errno.EACCES, "the file is open", path)
        return function(*paths, **options)

    return call


def is_open(path):
    """Return whether this process has a file open or mapped, other than those of the module tempfile, which may be."""
    real = os.path.realpath(path)
    if Path(real).name.startswith(tempfile.gettempprefix()):
        return False
    mapped = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines()
    opened = {os.path.realpath(one) for one in Path("/proc/self/fd").iterdir()}
    return real in opened or any(line.endswith(f" {real}") for line in mapped)
