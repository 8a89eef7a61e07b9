"""Made-up pairs of UCF101's size, of which it is known how many a perfect head would get right."""

import numpy as np

CLASSES, TRAIN, VAL, TEST = 101, 8583, 954, 3783
LATENT = 64  # directions of each stream that say anything
NOISE = 1.9
CONFUSED = 0.1  # share of clips that look like one of another class


def pairs_of(seed: int = 0) -> tuple[dict[str, np.ndarray], float]:
    """Arrays of pairs.h5 with 512 + 1280 features, and the share of test clips that the true model gets right.

    A class has three looks in each stream, a group of clips shares a scene, and the motion says less than the
    keyframe. All of it lies in LATENT directions, turned at random into the features.
    """
    rng = np.random.default_rng(seed)
    count = TRAIN + VAL + TEST
    label = np.arange(count) % CLASSES
    seen = np.where(rng.random(count) < CONFUSED, rng.integers(CLASSES, size=count), label)
    split = np.repeat(["train", "val", "test"], [TRAIN, VAL, TEST])
    # As in UCF101's first split, 18 of 25 groups a class are for training, of which two are for validation here.
    group = np.concatenate([low + rng.integers(high - low, size=size) for size, low, high in _GROUPS])
    streams, evidence = [], np.zeros((count, CLASSES))
    for length, strength in ((512, 1.0), (1280, 0.7)):
        x, log_likelihood = _stream(rng, seen, group, length, strength)
        streams.append(x)
        evidence += log_likelihood
    perfect = float((evidence.argmax(axis=1) == label)[split == "test"].mean())
    classes = np.array([f"Class{number:03d}" for number in range(CLASSES)])
    return {
        "ids": np.array([f"clip{row:05d}" for row in range(count)]),
        "label": label,
        "split": split,
        "group": np.array([f"{classes[a]}/g{b:02d}" for a, b in zip(label, group, strict=True)]),
        "keyframe": streams[0][:, None],
        "motion": streams[1][:, None],
        "motion_logits": (streams[1][:, :CLASSES] + 3 * np.eye(CLASSES)[seen]).astype(np.float32),
        "prompts": np.linalg.qr(rng.normal(size=(512, CLASSES)))[0].T.astype(np.float32),
        "classes": classes,
        "logit_scale": np.array(100.0, dtype=np.float32),
        "similarity": np.zeros(count, dtype=np.float32),
    }, perfect


_GROUPS = ((TRAIN, 0, 16), (VAL, 16, 18), (TEST, 18, 25))


def _stream(
    rng: np.random.Generator, seen: np.ndarray, group: np.ndarray, length: int, strength: float
) -> tuple[np.ndarray, np.ndarray]:
    """Features float32 [N, length] of one stream, and the log likelihood of each class [N, CLASSES]."""
    scale = 1 / np.sqrt(1 + np.arange(LATENT) / 8)
    looks = rng.normal(size=(CLASSES, 1, LATENT)) + 0.6 * rng.normal(size=(CLASSES, 3, LATENT))
    looks *= scale * strength
    scene, own = 0.5 * NOISE, 0.87 * NOISE
    scenes = rng.normal(size=(CLASSES, 25, LATENT)) * scale * scene
    noise = rng.normal(size=(len(seen), LATENT)) * scale * own
    latent = looks[seen, rng.integers(3, size=len(seen))] + scenes[seen, group] + noise
    variance = scale**2 * (scene**2 + own**2)
    squares = (latent**2 / variance).sum(axis=1)[:, None, None] + (looks**2 / variance).sum(axis=-1)
    distance = squares - 2 * np.einsum("nl,csl->ncs", latent / variance, looks, optimize=True)
    turn = np.linalg.qr(rng.normal(size=(length, LATENT)))[0] * np.sqrt(length) / 10
    x = latent @ turn.T + 0.02 * rng.normal(size=(len(seen), length))
    return x.astype(np.float32), np.logaddexp.reduce(-0.5 * distance, axis=2)


PROVENANCE = {
    "keyframes": {"weights": "made up", "frames": 1, "cost": {"parameters": 0, "macs": 0}},
    "motion_embeddings": {"cost": {"parameters": 0, "macs": 0}},
    "prompts": {"weights": "made up"},
}
