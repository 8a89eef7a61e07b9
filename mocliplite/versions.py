"""Versions of the code that decides the results of extraction and of the training of the motion network.

The stages of extraction and training do not depend on source files, because a rerun takes hours and most edits change
no value. Raise a version when an edit changes values: it is part of every fingerprint, and `dvc.yaml` watches it as a
parameter. tests/test_versions.py fails if this code has changed and the recorded digest has not.

A project made by `mocliplite new` does not contain the code. Its stages depend on the file versions.yaml instead.
"""

from pathlib import Path

from mocliplite import __version__

FILE = "versions.yaml"

MOTION = 3  # packages video, motion and extraction, stages/motion.py
KEYFRAMES = 4  # packages video, encoders and extraction, stages/keyframes.py
MOTION_NET = 5  # packages motion_net and extraction, stages/train_motion.py and stages/embed_motion.py
SCHEMA = 5  # the format of HDF5 files; readers refuse other versions, and stages write their stores again


def as_yaml() -> str:
    """Return the text of versions.yaml for this version of the package."""
    return (
        "# The version of mocliplite that this project is for. `mocliplite upgrade` writes this file and dvc.yaml.\n"
        f'PACKAGE: "{__version__}"\n'
        f"MOTION: {MOTION}\nKEYFRAMES: {KEYFRAMES}\nMOTION_NET: {MOTION_NET}\nSCHEMA: {SCHEMA}\n"
    )


def problem() -> str | None:
    """Return a sentence if versions.yaml in the working folder is that of another version of the package, else None."""
    path = Path(FILE)
    if not path.is_file() or path.read_text(encoding="utf-8") == as_yaml():
        return None
    return f"{FILE} is not that of the installed mocliplite {__version__}; run `mocliplite upgrade`."
