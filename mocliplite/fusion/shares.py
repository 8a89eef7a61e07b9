"""What each stream contributes to an answer of the fusion head."""

from collections.abc import Mapping

import numpy as np

from mocliplite.fusion.methods import STREAMS
from mocliplite.fusion.pairs import Arrays, features
from mocliplite.fusion.probes import tensors_of


def logits_by_streams(tensors: Arrays, data: Arrays) -> dict[tuple[str, ...], np.ndarray]:
    """Logits [S, N, C] of the fusion head by the streams that it gets: both, one, or none.

    A stream that it lacks is at the mean of the train clips, and so, standardised, 0: what each stream puts into the
    hidden layer is computed once.
    """
    part, streams = tensors_of(tensors, "fusion"), STREAMS["fusion"]
    cuts = np.cumsum([data[stream].shape[2] for stream in streams])[:-1]
    x = np.split((features(data, streams) - part["mean"]) / part["std"], cuts, axis=1)
    weights = np.split(part["weight1"], cuts, axis=1)
    put = {stream: one @ own for stream, one, own in zip(streams, x, weights, strict=True)}
    nothing = np.zeros_like(put[streams[0]])
    return {
        subset: np.maximum(sum((put[stream] for stream in subset), nothing + part["bias1"]), 0) @ part["weight2"]
        + part["bias2"]
        for subset in (streams, *((stream,) for stream in streams), ())
    }


def stream_shares(logits: Mapping[tuple[str, ...], np.ndarray], guess: np.ndarray) -> dict[str, np.ndarray]:
    """What each stream adds to the fusion head's logit of the guessed class [N]: float [N] each, mean over seeds.

    Exact Shapley values of two players, the streams, from `logits_by_streams`: the mean of what a stream adds alone and
    what it adds to the other. Their sum is the logit minus that of the mean clip.
    """
    logit = {
        subset: np.take_along_axis(values.mean(axis=0), guess[:, None], axis=1)[:, 0]
        for subset, values in logits.items()
    }
    first, second = STREAMS["fusion"]
    together = logit[first, second] - logit[()]
    apart = logit[first,] - logit[second,]
    return {first: (together + apart) / 2, second: (together - apart) / 2}
