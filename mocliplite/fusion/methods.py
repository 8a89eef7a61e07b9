"""The methods that the evaluation compares: their logits, their calibration and their mixtures.

Needs only numpy: applying a head is two matrix products, and importing torch takes seconds.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from mocliplite.evaluation.calibration import fit_scale, fit_threshold, fit_weights
from mocliplite.evaluation.metrics import softmax, within_top
from mocliplite.evaluation.multi_label import best_threshold, mean_average_precision, sigmoid
from mocliplite.fusion.pairs import Arrays, features
from mocliplite.fusion.probes import probe_logits, tensors_of
from mocliplite.large_arrays import slices

STREAMS = {"fusion": ("keyframe", "motion"), "keyframe": ("keyframe",)}  # input streams of each MLP head
SINGLE_STREAM = ("keyframe", "keyframe_probe", "motion", "motion_probe")  # trained methods with one input stream
ANSWER = "score_fusion"  # the method with which `predict` answers; docs/defaults.md says why
THRESHOLDS = (ANSWER, "motion")  # the methods that `predict --window` answers with
MIXED = {"score_fusion": ("keyframe", "motion"), "blend": ("keyframe", "motion", "fusion")}
_PART = 2048  # clips; what is computed on the way to the logits of all seeds for all clips would need gigabytes


def head_logits(tensors: Arrays, name: str, data: Arrays) -> np.ndarray:
    """Logits float32 [S, N, C] of all seeds of the head `name`, for the arrays of pairs.h5."""
    head = tensors_of(tensors, name)
    x = head_input(head, data, STREAMS[name])
    logits = np.maximum(x @ head["weight1"] + head["bias1"], 0) @ head["weight2"] + head["bias2"]
    return logits + x @ head["linear"] if "linear" in head else logits


def head_input(head: Arrays, data: Arrays, streams: tuple[str, ...]) -> np.ndarray:
    """Standardised input of a head: float32 [N, D], or [S, N, D] where each seed pools the keyframes with its query.

    head: tensors of one head; streams: those of the head, the keyframe first. See `heads.attend`.
    """
    x = (features(data, streams) - head["mean"]) / head["std"]
    if "query" not in head:
        return x
    seeds, length = head["query"].shape
    frames = (data["keyframe"][:, 1:] - head["mean"][:length]) / head["std"][:length]
    weights = softmax((frames @ head["query"].T).transpose(2, 0, 1) / length**0.5)  # [S, N, F]
    pooled = np.einsum("snf,nfd->snd", weights, frames)
    return np.concatenate([pooled, np.broadcast_to(x[:, length:], (seeds, *x[:, length:].shape))], axis=2)


def zero_shot_logits(keyframe: np.ndarray, prompts: np.ndarray, scale: float) -> np.ndarray:
    """Zero-shot logits [N, C]: scale times the cosine of keyframes [N, D1] and unit class prompts [C, D1]."""
    length = np.maximum(np.linalg.norm(keyframe, axis=1, keepdims=True), 1e-12)
    return scale * (keyframe / length) @ prompts.T


def trained_logits(heads: Arrays, probes: Arrays, data: Arrays) -> dict[str, np.ndarray]:
    """Logits of the trained methods: heads [S, N, C]; the motion network and the probes [N, C].

    data: the arrays of pairs.h5. `keyframe`, `motion` and `motion_logits` are enough, so this works for new clips.
    """
    return {
        "motion": data["motion_logits"],
        **{name: head_logits(heads, name, data) for name in STREAMS},
        **probe_logits(probes, data),
    }


def all_logits(heads: Arrays, probes: Arrays, data: Arrays) -> dict[str, np.ndarray]:
    """Logits of every method that is not a mixture, for the arrays of pairs.h5: zero-shot and trained_logits.

    Without embeddings of the classes there is no zero-shot.
    """
    if "prompts" not in data:
        return trained_logits(heads, probes, data)
    zero_shot = zero_shot_logits(data["keyframe"][:, 0], data["prompts"], float(data["logit_scale"]))
    return {"zero_shot": zero_shot} | trained_logits(heads, probes, data)


def fit_calibration(logits: Mapping[str, np.ndarray], labels: np.ndarray) -> dict[str, Any]:
    """Return what the validation clips choose once the heads are fitted, as `calibrate` needs it.

    logits: those of all_logits for the validation clips. The keys are `temperature` (by method), `weights` (by
    mixture), `best_single`, the method with one input stream that has the highest top-1, `answer`, the method with
    which `predict` answers, and `threshold` for `predict --threshold auto` (by method, see fit_threshold). Where a clip
    may have several classes, mAP takes the place of top-1, and there are `bias` and `f1_threshold` (by method, see
    best_threshold) in place of `threshold`.
    """
    multi_label = labels.ndim == 2
    scales: dict[str, tuple[float, float]] = {}
    weights: dict[str, list[float]] = {}
    thresholds: dict[str, Any] = {}
    for name, values in logits.items():
        scales[name], thresholds[name] = _scale_and_threshold(name, values, labels)
    for name, streams in MIXED.items():
        calibrated = [scaled(logits[stream], *scales[stream]) for stream in streams]
        weights[name] = fit_mixing_weights(calibrated, labels)
        mixed = _by_parts(partial(mix, weights=weights[name], multi_label=multi_label), calibrated)
        scales[name], thresholds[name] = _scale_and_threshold(name, mixed, labels)
        del calibrated, mixed  # the next mixture needs as much memory
    figure = mean_average_precision if multi_label else _top1
    figures = {name: figure(logits[name], labels) for name in SINGLE_STREAM}
    calibration = {
        "temperature": {name: temperature for name, (temperature, _) in scales.items()},
        "weights": weights,
        "best_single": max(SINGLE_STREAM, key=figures.__getitem__),
        "answer": ANSWER,
    }
    if multi_label:
        return calibration | {"bias": {name: bias for name, (_, bias) in scales.items()}, "f1_threshold": thresholds}
    return calibration | {"threshold": {name: thresholds[name] for name in THRESHOLDS}}


def _scale_and_threshold(name: str, logits: np.ndarray, labels: np.ndarray) -> tuple[tuple[float, float], Any]:
    """Return temperature and bias of a method, and its threshold; see fit_calibration. None for one without."""
    scale = fit_scale(logits, labels)
    if labels.ndim == 2:
        return scale, best_threshold(sigmoid(scaled(logits, *scale)), labels)
    if name not in THRESHOLDS:
        return scale, None
    return scale, fit_threshold(_by_parts(partial(_mean_probabilities, scale=scale), [logits]), labels)


def _mean_probabilities(parts: Sequence[np.ndarray], scale: tuple[float, float]) -> np.ndarray:
    """Return mean_probabilities of the only one of these logits."""
    return mean_probabilities(scaled(parts[0], *scale))


def _by_parts(function: Callable[[list[np.ndarray]], np.ndarray], arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Return function(arrays) [..., N, C] for arrays [..., N, C], computed for a part of the clips at a time."""
    clips, classes = arrays[0].shape[-2:]
    out = np.empty(0)
    for part in slices(clips, _PART, classes):
        found = function([values[..., part, :] for values in arrays])
        if not part.start:
            out = np.empty((*found.shape[:-2], clips, found.shape[-1]), found.dtype)
        out[..., part, :] = found
    return out


def is_multi_label(calibration: Mapping[str, Any]) -> bool:
    """Return whether a calibration is that of clips that may have several classes."""
    return "f1_threshold" in calibration


def mean_probabilities(logits: np.ndarray, multi_label: bool = False) -> np.ndarray:
    """Return the probabilities [N, C] of calibrated logits, those of a method with seeds [S, N, C] as their mean.

    Those of a clip sum to 1, unless it may have several classes.
    """
    probabilities = sigmoid(logits) if multi_label else softmax(logits)
    return probabilities.mean(axis=0) if probabilities.ndim == 3 else probabilities


def calibrate(logits: Mapping[str, np.ndarray], calibration: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return calibrated logits of every method, mixtures included; see `mean_probabilities`.

    calibration: the result of fit_calibration.
    """
    temperature, bias = calibration["temperature"], calibration.get("bias", {})
    calibrated = {name: scaled(values, temperature[name], bias.get(name, 0.0)) for name, values in logits.items()}
    for name, parts in MIXED.items():
        inputs = [calibrated[part] for part in parts]
        mixed = mix(inputs, calibration["weights"][name], is_multi_label(calibration))
        calibrated[name] = scaled(mixed, temperature[name], bias.get(name, 0.0))
    return calibrated


def scaled(logits: np.ndarray, temperature: float, bias: float) -> np.ndarray:
    """Return logits / temperature + bias."""
    return logits / temperature + bias if bias else logits / temperature


def mix(parts: list[np.ndarray], weights: list[float], multi_label: bool = False) -> np.ndarray:
    """Weighted sum of the log probabilities of several methods, [S, N, C]; [N, C] is broadcast over seeds.

    Where a clip may have several classes, it is the sum of their logits.
    """
    return np.tensordot(np.asarray(weights), _terms(parts, multi_label), axes=1)


def fit_mixing_weights(parts: list[np.ndarray], labels: np.ndarray) -> list[float]:
    """Return the weights for `mix` that minimise the log loss up to temperature and bias; they sum to 1."""
    terms = _by_parts(partial(_terms, multi_label=labels.ndim == 2), parts)
    weights, _ = fit_weights(terms, labels)
    return (weights / weights.sum()).tolist() if weights.any() else [1 / len(parts)] * len(parts)


def _terms(parts: list[np.ndarray], multi_label: bool) -> np.ndarray:
    terms = parts if multi_label else [np.log(softmax(part) + 1e-12) for part in parts]
    return np.stack(np.broadcast_arrays(*terms))


def _top1(logits: np.ndarray, labels: np.ndarray) -> float:
    return float(within_top(logits, labels, 1).mean())
