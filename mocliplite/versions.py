"""Versions of the code that decides what extraction and the training of the motion network give.

Their stages do not depend on source files, since a rerun takes hours and most edits change no value. Raise a version
when an edit changes values: it is part of every fingerprint, and `dvc.yaml` watches it as a parameter.
tests/test_versions.py fails while deciding code has changed and neither a version nor the recorded digest has.
"""

MOTION = 2  # rooms video and motion, stages/motion.py
KEYFRAMES = 2  # rooms video and encoders, stages/keyframes.py
MOTION_NET = 1  # room motion_net, stages/train_motion.py and stages/embed_motion.py
