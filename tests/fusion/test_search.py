"""Clips most like a clip. Searching by words is tried in test_pipeline.py, where there is a CLIP."""

from types import SimpleNamespace

import numpy as np
from builders import sentence_of

from mocliplite.fusion import search

RNG = np.random.default_rng(0)
IDS = ["a1", "a2", "b1", "b2"]


def stores(keyframe, motion):
    """Two stores of IDS, each clip one keyframe and one view."""
    made = []
    for name, rows in (("features/keyframes", keyframe), ("features/motion_embeddings", motion)):
        table = dict(zip(IDS, np.asarray(rows, dtype=np.float32)[:, None], strict=True))
        made.append(
            SimpleNamespace(path=name, ids=list(table), read=lambda ids, t=table: np.stack([t[i] for i in ids]))
        )
    return made


def test_the_most_alike_in_both_streams_comes_first_and_never_the_clip_itself():
    place, movement = [[0, 1], [0, 1.1], [1, 0], [1, 0.1]], [[5, 0], [5, 1], [0, 5], [0, 4]]
    hits = search.by_similarity("b1", *stores(place, movement), top=3)
    assert hits[0].id == "b2"
    assert hits[0].score > 0.9
    assert {hit.id for hit in hits} == {"a1", "a2", "b2"}


def test_each_stream_counts_for_half():
    place, movement = [[0, 1], [1, 0], [0, 1], [1, 0]], [[1, 0], [1, 0], [0, 1], [0, 1]]
    scores = {hit.id: round(hit.score, 5) for hit in search.by_similarity("a1", *stores(place, movement), top=3)}
    assert scores == {"a2": 0, "b1": 0, "b2": -1}


def test_what_all_clips_share_does_not_count():
    place, movement = np.array([[0, 1], [0, 1.1], [1, 0], [1, 0.1]]), RNG.standard_normal((4, 2))
    plain = search.by_similarity("a1", *stores(place, movement), top=3)
    moved = search.by_similarity("a1", *stores(place + 100, movement), top=3)
    assert [hit.id for hit in moved] == [hit.id for hit in plain]
    assert np.allclose([hit.score for hit in moved], [hit.score for hit in plain], atol=1e-3)


def test_a_clip_without_features_is_a_sentence():
    assert sentence_of(search.by_similarity, "c1", *stores(np.eye(4), np.eye(4)), 1) == (
        "c1 has no features in features/keyframes and features/motion_embeddings; give the id of a clip there."
    )
