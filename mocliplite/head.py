"""The fitted heads and what they are compared with, in numpy alone: two matrix products need no torch."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from mocliplite import calibration, ridge
from mocliplite.errors import UserError
from mocliplite.scores import softmax, within_top

Arrays = Mapping[str, np.ndarray]
STREAMS = {"fusion": ("keyframe", "motion"), "keyframe": ("keyframe",)}  # what each head sees
PROBES = {"ridge": ("keyframe", "motion"), "keyframe_probe": ("keyframe",), "motion_probe": ("motion",)}
SINGLE = ("keyframe", "keyframe_probe", "motion", "motion_probe")  # ways that see one stream and were trained
MIXED = {"score_fusion": ("keyframe", "motion"), "blend": ("keyframe", "motion", "ridge", "fusion")}


def rows_of(arrays: Arrays, part: str) -> dict[str, np.ndarray]:
    """The arrays of pairs.h5 with the clips of one split alone; what is no clip's stays whole."""
    chosen = arrays["split"] == part
    whole = ("prompts", "classes", "logit_scale")
    return {name: values if name in whole else values[chosen] for name, values in arrays.items()}


def features(data: Arrays, streams: tuple[str, ...]) -> np.ndarray:
    """What a head or probe sees of the clips: the plain views of the streams side by side, float32 [N, D]."""
    return np.concatenate([data[stream][:, 0] for stream in streams], axis=1)


def head_logits(tensors: Arrays, name: str, x: np.ndarray) -> np.ndarray:
    """Logits float32 [S, N, C] of all seeds of the head `name`, for features float32 [N, D]."""
    part = named(tensors, name)
    hidden = np.maximum((x - part["mean"]) / part["std"] @ part["weight1"] + part["bias1"], 0)
    return hidden @ part["weight2"] + part["bias2"]


def named(tensors: Arrays, name: str) -> dict[str, np.ndarray]:
    """The tensors of one head or probe by their own names."""
    return {key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")}


def zero_shot_logits(keyframe: np.ndarray, prompts: np.ndarray, scale: float) -> np.ndarray:
    """CLIP's own answer, float32 [N, C]: scaled cosines of keyframes [N, D1] and class prompts [C, D1] of length 1."""
    length = np.maximum(np.linalg.norm(keyframe, axis=1, keepdims=True), 1e-12)
    return scale * (keyframe / length) @ prompts.T


def fit_probes(train: Arrays, val: Arrays) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Tensors of all closed-form probes, and the penalty of each, chosen on val."""
    tensors: dict[str, np.ndarray] = {}
    alphas: dict[str, float] = {}
    for name, seen in PROBES.items():
        given, judge = ((features(data, seen), data["label"]) for data in (train, val))
        fitted, alphas[name] = ridge.fit_ridge(given, judge, len(train["classes"]))
        tensors |= {f"{name}.{key}": value for key, value in fitted.items()}
    return tensors, alphas


def probe_logits(probes: Arrays, data: Arrays) -> dict[str, np.ndarray]:
    """Scores [N, C] of each closed-form probe, for the arrays of pairs.h5."""
    return {name: ridge.probe_logits(named(probes, name), features(data, seen)) for name, seen in PROBES.items()}


def trained_logits(heads: Arrays, probes: Arrays, data: Arrays) -> dict[str, np.ndarray]:
    """Logits of all that was trained: of the heads [S, N, C], of the motion network and the probes [N, C].

    data: the arrays of pairs.h5, or the same of new clips, which have neither label nor split.
    """
    return {
        "motion": data["motion_logits"],
        **{name: head_logits(heads, name, features(data, seen)) for name, seen in STREAMS.items()},
        **probe_logits(probes, data),
    }


def all_logits(heads: Arrays, probes: Arrays, data: Arrays) -> dict[str, np.ndarray]:
    """Logits of every way that mixes no others, for the arrays of pairs.h5: trained_logits and CLIP's own answer."""
    own = zero_shot_logits(data["keyframe"][:, 0], data["prompts"], float(data["logit_scale"]))
    return {"zero_shot": own} | trained_logits(heads, probes, data)


def choose(logits: Mapping[str, np.ndarray], labels: np.ndarray) -> dict[str, Any]:
    """All that validation clips decide once the heads are fitted: see `settle`. Also the best single stream."""
    temperature = {name: calibration.fit_temperature(values, labels) for name, values in logits.items()}
    calm = {name: values / temperature[name] for name, values in logits.items()}
    weights = {name: choose_weights([calm[part] for part in parts], labels) for name, parts in MIXED.items()}
    for name, parts in MIXED.items():
        calm[name] = mix([calm[part] for part in parts], weights[name])
        temperature[name] = calibration.fit_temperature(calm[name], labels)
    top1 = {name: float(within_top(logits[name], labels, 1).mean()) for name in SINGLE}
    return {"temperature": temperature, "weights": weights, "best_single": max(SINGLE, key=top1.__getitem__)}


def settle(logits: Mapping[str, np.ndarray], chosen: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Logits of every way whose softmax are calibrated probabilities; mixed ways are added."""
    calm = {name: values / chosen["temperature"][name] for name, values in logits.items()}
    for name, parts in MIXED.items():
        mixed = mix([calm[part] for part in parts], chosen["weights"][name])
        calm[name] = mixed / chosen["temperature"][name]
    return calm


def mix(parts: list[np.ndarray], weights: list[float]) -> np.ndarray:
    """Weighted sum of the log probabilities of several ways, [S, N, C]; those without seeds count for each seed."""
    return np.tensordot(np.asarray(weights), _logs(parts), axes=1)


def choose_weights(parts: list[np.ndarray], labels: np.ndarray) -> list[float]:
    """Weights of `mix`, which add up to 1: those of the best log likelihood, whatever the temperature after it."""
    weights = calibration.fit_weights(_logs(parts), labels)
    return (weights / weights.sum()).tolist() if weights.any() else [1 / len(parts)] * len(parts)


def _logs(parts: list[np.ndarray]) -> np.ndarray:
    return np.stack(np.broadcast_arrays(*[np.log(softmax(part) + 1e-12) for part in parts]))


def by_players(tensors: Arrays, data: Arrays) -> dict[tuple[str, ...], np.ndarray]:
    """Logits [S, N, C] of the fusion head by the streams that it gets: both, one, or none.

    A stream that it lacks is at the mean of the train clips, and so, standardised, 0: what each stream puts into the
    hidden layer is computed once.
    """
    part, streams = named(tensors, "fusion"), STREAMS["fusion"]
    cuts = np.cumsum([data[stream].shape[2] for stream in streams])[:-1]
    x = np.split((features(data, streams) - part["mean"]) / part["std"], cuts, axis=1)
    weights = np.split(part["weight1"], cuts, axis=1)
    put = {stream: one @ own for stream, one, own in zip(streams, x, weights, strict=True)}
    nothing = np.zeros_like(put[streams[0]])
    return {
        players: np.maximum(sum((put[stream] for stream in players), nothing + part["bias1"]), 0) @ part["weight2"]
        + part["bias2"]
        for players in (streams, *((stream,) for stream in streams), ())
    }


def shares(played: Mapping[tuple[str, ...], np.ndarray], guess: np.ndarray) -> dict[str, np.ndarray]:
    """What each stream adds to the fusion head's logit of the guessed class [N]: float [N] each, mean over seeds.

    Exact Shapley values of two players, from `by_players`: the mean of what a stream adds alone and what it adds to the
    other. Their sum is the logit above that of the mean clip.
    """
    logit = {
        players: np.take_along_axis(values.mean(axis=0), guess[:, None], axis=1)[:, 0]
        for players, values in played.items()
    }
    first, second = STREAMS["fusion"]
    together = logit[first, second] - logit[()]
    apart = logit[first,] - logit[second,]
    return {first: (together + apart) / 2, second: (together - apart) / 2}


def check_features(config: Mapping[str, Any], settings: Mapping[str, Any], folder: str) -> None:
    """Raise UserError unless the model in `folder` was fitted on features of these settings, naming what differs."""
    fitted = config["features"]
    for part in sorted(settings.keys() | fitted.keys()):
        mine, theirs = fitted.get(part, {}), settings.get(part, {})
        for key in sorted(mine.keys() | theirs.keys()):
            if mine.get(key) != theirs.get(key):
                differs = f"{folder} was fitted on other features than features/pairs.h5 holds ({part}: {key} differs)"
                raise UserError(f"{differs}; run `dvc repro`.")


def cost(tensors: Arrays, made_of: dict[str, Any]) -> dict[str, dict[str, int]]:
    """Parameters and multiply-accumulates of one clip by part; the head's are one seed's."""
    clip, frames = made_of["keyframes"]["cost"], made_of["keyframes"]["frames"]
    layers = [tensors[f"fusion.{name}"][0] for name in ("weight1", "bias1", "weight2", "bias2")]
    head = {"parameters": sum(layer.size for layer in layers), "macs": layers[0].size + layers[2].size}
    parts = {
        "clip": {"parameters": clip["parameters"], "macs": clip["macs"] * frames},
        "motion": made_of["motion_embeddings"]["cost"],
        "head": head,
    }
    total = {key: sum(part[key] for part in parts.values()) for key in ("parameters", "macs")}
    return {**parts, "total": total}
