"""Contribution of each stream to an answer of the fusion head."""

from collections.abc import Mapping

import numpy as np

from mocliplite.fusion.methods import STREAMS, head_input
from mocliplite.fusion.pairs import Arrays
from mocliplite.fusion.probes import tensors_of


def logits_by_streams(tensors: Arrays, data: Arrays) -> dict[tuple[str, ...], np.ndarray]:
    """Logits [S, N, C] of the fusion head by subset of its input streams: both, each alone, and none.

    A missing stream is set to the mean of the train clips, which is 0 after standardisation. So each stream's
    contribution to the hidden layer is computed once.
    """
    head, streams = tensors_of(tensors, "fusion"), STREAMS["fusion"]
    bounds = np.cumsum([data[stream].shape[2] for stream in streams])[:-1]
    inputs = np.split(head_input(head, data, streams), bounds, axis=-1)
    hidden = _by_stream(inputs, np.split(head["weight1"], bounds, axis=1))
    linear = _by_stream(inputs, np.split(head["linear"], bounds)) if "linear" in head else {}
    zero = np.zeros_like(hidden[streams[0]])
    return {
        subset: np.maximum(sum((hidden[stream] for stream in subset), zero + head["bias1"]), 0) @ head["weight2"]
        + sum((linear[stream] for stream in subset if linear), head["bias2"])
        for subset in (streams, *((stream,) for stream in streams), ())
    }


def _by_stream(inputs: list[np.ndarray], weights: list[np.ndarray]) -> dict[str, np.ndarray]:
    """What each stream of the fusion head contributes to a layer with these weights by stream."""
    return {stream: x @ weight for stream, x, weight in zip(STREAMS["fusion"], inputs, weights, strict=True)}


def stream_shares(logits: Mapping[tuple[str, ...], np.ndarray], guess: np.ndarray) -> dict[str, np.ndarray]:
    """What each stream adds to the fusion head's logit of the guessed class [N]: float [N] by stream, mean over seeds.

    logits: those of `logits_by_streams`. These are exact Shapley values with the two streams as players: the mean of
    what a stream adds to none and what it adds to the other. They sum to the logit minus that of the mean clip.
    """
    logit = {
        subset: np.take_along_axis(values.mean(axis=0), guess[:, None], axis=1)[:, 0]
        for subset, values in logits.items()
    }
    first, second = STREAMS["fusion"]
    total = logit[first, second] - logit[()]
    contrast = logit[first,] - logit[second,]
    return {first: (total + contrast) / 2, second: (total - contrast) / 2}
