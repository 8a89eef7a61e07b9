"""Find clips in the feature stores: by words, through CLIP's text tower, or by likeness to a clip."""

from dataclasses import dataclass

import numpy as np

from mocliplite import params
from mocliplite.encoders import clip
from mocliplite.errors import UserError
from mocliplite.store.stores import Store


@dataclass(frozen=True)
class Hit:
    """A clip found."""

    id: str
    score: float  # cosine, -1 to 1


def by_text(text: str, keyframes: Store, top: int, compute: params.Compute) -> list[Hit]:
    """The clips whose best keyframe is nearest to the text, by cosine in CLIP's own space.

    Raises UserError where the CLIP that made the keyframe store is not at hand.
    """
    model = clip.load_clip(clip.locate_same(keyframes.settings), compute)
    query = clip.unit(clip.embed_texts(model, [text]))[0]
    frames = clip.unit(keyframes.read(keyframes.ids))
    return _best(keyframes.ids, (frames @ query).max(axis=1), top)


def by_similarity(clip_id: str, keyframes: Store, motion: Store, top: int) -> list[Hit]:
    """The clips most like another, by the mean of two cosines: of keyframes, and of motion embeddings.

    Both are standardised over all clips first. Else what all clips share would drown what tells them apart.
    """
    ids = sorted(set(keyframes.ids) & set(motion.ids))
    if clip_id not in ids:
        raise UserError(
            f"{clip_id} has no features in {keyframes.path} and {motion.path}; give the id of a clip there."
        )
    streams = keyframes.read(ids).mean(axis=1), motion.read(ids)[:, 0]
    rows = [clip.unit(_standardised(stream)) for stream in streams]
    scores = np.mean([row @ row[ids.index(clip_id)] for row in rows], axis=0)
    return [hit for hit in _best(ids, scores, top + 1) if hit.id != clip_id][:top]


def _standardised(rows: np.ndarray) -> np.ndarray:
    deviation = rows.std(axis=0)
    return (rows - rows.mean(axis=0)) / np.where(deviation > 1e-6, deviation, 1)


def _best(ids: list[str], scores: np.ndarray, top: int) -> list[Hit]:
    order = np.argsort(-scores, kind="stable")[:top]
    return [Hit(ids[row], float(scores[row])) for row in order]
