"""Versions of the code that decides the results of extraction and of the training of the motion network.

The stages of extraction and training do not depend on source files, because a rerun takes hours and most edits change
no value. Raise a version when an edit changes values: it is part of every fingerprint, and `dvc.yaml` watches it as a
parameter. tests/test_versions.py fails if this code has changed and the recorded digest has not.
"""

MOTION = 3  # packages video, motion and extraction, stages/motion.py
KEYFRAMES = 4  # packages video, encoders and extraction, stages/keyframes.py
MOTION_NET = 4  # packages motion_net and extraction, stages/train_motion.py and stages/embed_motion.py
SCHEMA = 5  # the format of HDF5 files; readers refuse other versions, and stages write their stores again
