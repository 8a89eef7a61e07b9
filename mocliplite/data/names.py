"""Names of files: which are clips, how names are compared, and the glob pattern dataset.include."""

import os
import sys
import unicodedata
from fnmatch import fnmatchcase
from pathlib import PureWindowsPath

ENDINGS = (
    *(".avi", ".mp4", ".mkv", ".mov", ".webm", ".m4v", ".3gp", ".3g2", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts"),
    *(".vob", ".wmv", ".asf", ".flv", ".f4v", ".ogv", ".divx", ".dv", ".mxf"),
)
SUCH_AS = f"{', '.join(ENDINGS[:5])} and others"
# Video files that are not supported, because FFmpeg reads few of them, or because they have no timestamps.
OTHER_ENDINGS = (
    *(".gif", ".rm", ".rmvb", ".mod", ".tod", ".m2v", ".h264", ".264", ".h265", ".265", ".hevc", ".ivf", ".y4m"),
)


def is_video(name: str, endings: tuple[str, ...] = ENDINGS) -> bool:
    """Return whether a file with this name is a clip."""
    return name.lower().endswith(endings) and not name.startswith(".")


def normal(name: str) -> str:
    """Return a name in Unicode form NFC, for comparison."""
    return unicodedata.normalize("NFC", name)


def is_below_root(path: str) -> bool:
    """Return whether a POSIX path relative to dataset.root stays below it."""
    if os.name == "nt":
        # There, a backslash and a drive lead elsewhere, too.
        windows = PureWindowsPath(path)
        return not windows.anchor and ".." not in windows.parts
    return not path.startswith("/") and ".." not in path.split("/")


def stem_of(path: str) -> str:
    """Return the path without its extension."""
    # Not PurePosixPath.with_suffix, which takes ten times as long: lists have several paths for each of 240,000 clips.
    folder, slash, name = path.rpartition("/")
    stem, _, ending = name.rpartition(".")
    return folder + slash + (stem if stem and ending else name)


def name_problem(path: str) -> str:
    """Return why the name of a file cannot be written as text, as the end of a sentence; empty if it can."""
    try:
        path.encode()
    except UnicodeEncodeError:
        try:
            os.fsencode(path).decode()
        except UnicodeError:
            return "has a name that is not UTF-8; rename it."
        encoding = sys.getfilesystemencoding()
        return f"has a name that is UTF-8, but Python reads names as {encoding}; set PYTHONUTF8=1 in the environment."
    return ""


def included(path: str, include: str) -> bool:
    """Return whether a glob pattern matches a path relative to the root.

    `*`, `?` and `[...]` match characters within the name of one folder or file, and `**` between slashes matches zero
    or more folders. Case is significant. For example, `**/*` matches everything, `*/set1_*` matches files directly in a
    class folder, and `**/set1_*` matches files at any depth.
    """
    parts, patterns = path.split("/"), include.split("/")
    part = pattern = 0
    last = None  # the last `**`, and the part up to which it reaches
    # Not recursive, since a list may have a path of any depth. Of several `**`, only the last ever has to match more
    # parts: an earlier one that matches more than it must leaves fewer parts to all that follow.
    while part < len(parts):
        wanted = patterns[pattern] if pattern < len(patterns) else None
        if wanted == "**":
            last, pattern = (part, pattern), pattern + 1
        elif wanted is not None and fnmatchcase(parts[part], wanted):
            part, pattern = part + 1, pattern + 1
        elif last is not None:
            last = last[0] + 1, last[1]
            part, pattern = last[0], last[1] + 1
        else:
            return False
    return all(wanted == "**" for wanted in patterns[pattern:])
