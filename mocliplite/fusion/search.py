"""Search the feature stores for clips: by text, through the text encoder, or by similarity to a clip."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mocliplite import params
from mocliplite.encoders import checkpoints, embedding, loading
from mocliplite.errors import UserError
from mocliplite.store.stores import Store


@dataclass(frozen=True)
class Hit:
    """A search result."""

    id: str
    score: float  # cosine, -1 to 1


def by_text(text: str, keyframes: Store, top: int, compute: params.Compute, pickled: bool = False) -> list[Hit]:
    """Return the `top` clips nearest to the text, by the cosine of their best keyframe in the common embedding space.

    pickled: as encoder.pickled_weights. Raises UserError where the encoder of the keyframe store is not available, or
    embeds no texts.
    """
    checkpoint = _checkpoint(keyframes, pickled)
    if not checkpoints.has_text_encoder(checkpoint):
        raise UserError(
            f"{checkpoint} embeds no texts; search by --like with a clip, or set encoder.model to a checkpoint with a "
            "text encoder and run `dvc repro`."
        )
    encoder = loading.load_encoder(checkpoint, compute)
    query = embedding.unit(embedding.embed_texts(encoder, [text]))[0]
    frames = embedding.unit(keyframes.read(keyframes.ids))
    return _best(keyframes.ids, (frames @ query).max(axis=1), top)


def _checkpoint(keyframes: Store, pickled: bool) -> Path:
    model, revision = keyframes.provenance["model"], keyframes.provenance["revision"]
    return checkpoints.locate_same(keyframes.settings, model, revision, pickled=pickled)


def by_similarity(clip_id: str, keyframes: Store, motion: Store, top: int) -> list[Hit]:
    """Return the `top` clips most similar to another, by the mean of two cosines: of keyframes and of motion.

    Both embeddings are first standardised over all clips, since the part that all clips share would dominate the
    cosines. Raises UserError where the clip has no features.
    """
    ids = sorted(set(keyframes.ids) & set(motion.ids))
    if clip_id not in ids:
        raise UserError(
            f"{clip_id} has no features in {keyframes.path} and {motion.path}; give the id of a clip that has."
        )
    streams = keyframes.read(ids).mean(axis=1), motion.read(ids)[:, 0]
    unit_streams = [embedding.unit(_standardised(stream)) for stream in streams]
    scores = np.mean([stream @ stream[ids.index(clip_id)] for stream in unit_streams], axis=0)
    return [hit for hit in _best(ids, scores, top + 1) if hit.id != clip_id][:top]


def _standardised(rows: np.ndarray) -> np.ndarray:
    std = rows.std(axis=0)
    return (rows - rows.mean(axis=0)) / np.where(std > 1e-6, std, 1)


def _best(ids: list[str], scores: np.ndarray, top: int) -> list[Hit]:
    order = np.argsort(-scores, kind="stable")[:top]
    return [Hit(ids[row], float(scores[row])) for row in order]
