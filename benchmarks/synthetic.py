"""Synthetic pairs of UCF101's size, with the accuracy of the Bayes classifier."""

import numpy as np

CLASSES, TRAIN, VAL, TEST = 101, 8583, 954, 3783
LATENT = 64  # informative dimensions of each stream
NOISE = 1.9
CONFUSED = 0.1  # share of clips with the features of a random class


def pairs_of(seed: int = 0) -> tuple[dict[str, np.ndarray], float]:
    """Return arrays of pairs.h5 with 512 + 1280 features, and the test accuracy of the Bayes classifier.

    In each stream, a class is a mixture of three components, the clips of a group share an offset, and the motion is
    less informative than the keyframe. The signal has LATENT dimensions, mapped to the features by a random rotation.
    """
    rng = np.random.default_rng(seed)
    count = TRAIN + VAL + TEST
    label = np.arange(count) % CLASSES
    feature_class = np.where(rng.random(count) < CONFUSED, rng.integers(CLASSES, size=count), label)
    split = np.repeat(["train", "val", "test"], [TRAIN, VAL, TEST])
    # As in the first split of UCF101, 18 of the 25 groups of a class are train groups; two of them are for validation.
    group = np.concatenate([low + rng.integers(high - low, size=size) for size, low, high in _GROUPS])
    streams, log_likelihood = [], np.zeros((count, CLASSES))
    for length, strength in ((512, 1.0), (1280, 0.7)):
        x, stream_log_likelihood = _stream(rng, feature_class, group, length, strength)
        streams.append(x)
        log_likelihood += stream_log_likelihood
    bayes_top1 = float((log_likelihood.argmax(axis=1) == label)[split == "test"].mean())
    classes = np.array([f"Class{number:03d}" for number in range(CLASSES)])
    return {
        "ids": np.array([f"clip{row:05d}" for row in range(count)]),
        "label": label,
        "split": split,
        "group": np.array([f"{classes[a]}/g{b:02d}" for a, b in zip(label, group, strict=True)]),
        "keyframe": streams[0][:, None],
        "motion": streams[1][:, None],
        "motion_logits": (streams[1][:, :CLASSES] + 3 * np.eye(CLASSES)[feature_class]).astype(np.float32),
        "prompts": np.linalg.qr(rng.normal(size=(512, CLASSES)))[0].T.astype(np.float32),
        "classes": classes,
        "logit_scale": np.array(100.0, dtype=np.float32),
        "similarity": np.zeros(count, dtype=np.float32),
    }, bayes_top1


_GROUPS = ((TRAIN, 0, 16), (VAL, 16, 18), (TEST, 18, 25))


def _stream(
    rng: np.random.Generator, feature_class: np.ndarray, group: np.ndarray, length: int, strength: float
) -> tuple[np.ndarray, np.ndarray]:
    """Features float32 [N, length] of one stream, and the log likelihood of each class [N, CLASSES]."""
    scale = 1 / np.sqrt(1 + np.arange(LATENT) / 8)
    centres = rng.normal(size=(CLASSES, 1, LATENT)) + 0.6 * rng.normal(size=(CLASSES, 3, LATENT))
    centres *= scale * strength
    group_std, clip_std = 0.5 * NOISE, 0.87 * NOISE
    offsets = rng.normal(size=(CLASSES, 25, LATENT)) * scale * group_std
    noise = rng.normal(size=(len(feature_class), LATENT)) * scale * clip_std
    component = rng.integers(3, size=len(feature_class))
    latent = centres[feature_class, component] + offsets[feature_class, group] + noise
    variance = scale**2 * (group_std**2 + clip_std**2)
    squares = (latent**2 / variance).sum(axis=1)[:, None, None] + (centres**2 / variance).sum(axis=-1)
    distance = squares - 2 * np.einsum("nl,csl->ncs", latent / variance, centres, optimize=True)
    rotation = np.linalg.qr(rng.normal(size=(length, LATENT)))[0] * np.sqrt(length) / 10
    x = latent @ rotation.T + 0.02 * rng.normal(size=(len(feature_class), length))
    return x.astype(np.float32), np.logaddexp.reduce(-0.5 * distance, axis=2)


SETTINGS = {
    "keyframes": {"weights": "synthetic", "frames": 1},
    "motion_embeddings": {"model": "synthetic"},
    "prompts": {"weights": "synthetic"},
}
PROVENANCE = {"cost": {stream: {"parameters": 0, "macs": 0} for stream in ("encoder", "motion")}}
