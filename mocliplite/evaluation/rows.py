"""The rows of the tables. A module of its own, so that the command line need not import numpy for its help."""

# In the order of the tables, with what they mean.
METHODS = {
    "zero_shot": "encoder without training: keyframe against class names",
    "keyframe_probe": "keyframe, linear",
    "keyframe": "keyframe, MLP",
    "motion": "motion network",
    "motion_probe": "motion embedding, linear",
    "score_fusion": "weighted scores of keyframe and motion",
    "ridge": "keyframe and motion, linear",
    "fusion": "keyframe and motion, MLP",
    "blend": "weighted scores of keyframe, motion and fusion",
}
