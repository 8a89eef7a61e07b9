"""Search on real stores; by text with a tiny CLIP checkpoint in the format of Hugging Face."""

import numpy as np
import pytest
import torch
from builders import sentence_of
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

from mocliplite.encoders import checkpoints, embedding, loading
from mocliplite.fusion import search
from mocliplite.params import Compute
from mocliplite.store import layout, shards, stores
from sample.clip import build_tokenizer

pytestmark = pytest.mark.usefixtures("folder")

IDS = ["a1", "a2", "b1", "b2"]
COMPUTE = Compute(workers=1, threads=0, device="cpu", engine="inline", time_limit=60)


def write_store(kind, embeddings, settings=None, provenance=None):
    """A store of one embedding [K, D] per clip id, opened."""
    folder = f"features/{kind}"
    for path, ids in layout.ids_by_path(folder, kind, embeddings).items():
        records = {
            clip_id: shards.Record({"embedding": np.asarray(embeddings[clip_id], dtype=np.float32)}) for clip_id in ids
        }
        shard = shards.Shard(records, {}, dict.fromkeys(ids, "f"), provenance or {})
        shards.write_shard(path, kind, settings or {}, shard)
    return stores.open_store(folder)


def write_stores(keyframes, motion):
    """The two stores of IDS, with one keyframe and one view per clip: rows [4, D] each."""
    return tuple(
        write_store(kind, {clip_id: [row] for clip_id, row in zip(IDS, rows, strict=True)})
        for kind, rows in (("keyframes", keyframes), ("motion_embeddings", motion))
    )


# By similarity


def test_the_clip_most_similar_in_both_streams_comes_first_and_the_clip_itself_is_left_out():
    keyframes, motion = [[0, 1], [0, 1.1], [1, 0], [1, 0.1]], [[5, 0], [5, 1], [0, 5], [0, 4]]
    hits = search.by_similarity("b1", *write_stores(keyframes, motion), top=3)
    assert hits[0].id == "b2"
    assert hits[0].score > 0.9
    assert {hit.id for hit in hits} == {"a1", "a2", "b2"}


def test_the_score_is_the_mean_of_both_streams():
    keyframes, motion = [[0, 1], [1, 0], [0, 1], [1, 0]], [[1, 0], [1, 0], [0, 1], [0, 1]]
    hits = search.by_similarity("a1", *write_stores(keyframes, motion), top=3)
    assert {hit.id: round(hit.score, 5) for hit in hits} == {"a2": 0, "b1": 0, "b2": -1}


def test_a_constant_added_to_all_clips_does_not_change_the_scores():
    keyframes = np.array([[0, 1], [0, 1.1], [1, 0], [1, 0.1]])
    motion = np.random.default_rng(0).standard_normal((4, 2))
    hits = search.by_similarity("a1", *write_stores(keyframes, motion), top=3)
    shifted = search.by_similarity("a1", *write_stores(keyframes + 100, motion), top=3)
    assert [hit.id for hit in shifted] == [hit.id for hit in hits]
    assert [hit.score for hit in shifted] == pytest.approx([hit.score for hit in hits], abs=1e-3)


def test_top_limits_the_number_of_hits():
    assert len(search.by_similarity("a1", *write_stores(np.eye(4), np.eye(4)), top=2)) == 2


def test_a_clip_without_features_is_refused():
    assert sentence_of(search.by_similarity, "c1", *write_stores(np.eye(4), np.eye(4)), 1) == (
        "c1 has no features in features/keyframes and features/motion_embeddings; give the id of a clip that has."
    )


# By text


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A tiny CLIP checkpoint with random weights."""
    tokenizer = build_tokenizer()
    tower = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2}
    tokens = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    config = CLIPConfig(
        text_config=tower | tokens | {"vocab_size": len(tokenizer)},
        vision_config=tower | {"image_size": 32, "patch_size": 16},
        projection_dim=16,
    )
    folder = tmp_path_factory.mktemp("clip")
    torch.manual_seed(0)
    CLIPModel(config).save_pretrained(folder)
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def text_vector(folder, text):
    return embedding.unit(embedding.embed_texts(loading.load_encoder(folder, COMPUTE), [text]))[0]


def test_clips_are_ranked_by_the_cosine_of_their_best_keyframe_to_the_text(checkpoint):
    vector = text_vector(checkpoint, "a star")
    other = np.random.default_rng(0).standard_normal(16)
    other -= other @ vector * vector
    other /= np.linalg.norm(other)
    # Two keyframes per clip; lengths do not matter. a2 has one keyframe with the text's own direction.
    embeddings = {
        "a1": [0.6 * vector + 0.8 * other, -vector],
        "a2": [-vector, 9 * vector],
        "b1": [other, other],
        "b2": [-vector, -5 * vector],
    }
    provenance = {"model": str(checkpoint), "revision": None}
    store = write_store("keyframes", embeddings, checkpoints.cache_key(checkpoint), provenance)
    hits = search.by_text("a star", store, 3, COMPUTE)
    assert [hit.id for hit in hits] == ["a2", "a1", "b1"]
    assert [hit.score for hit in hits] == pytest.approx([1.0, 0.6, 0.0], abs=1e-5)


def test_a_store_of_another_clip_checkpoint_is_refused(checkpoint):
    settings = checkpoints.cache_key(checkpoint) | {"weights": "0"}
    provenance = {"model": str(checkpoint), "revision": None}
    store = write_store("keyframes", dict.fromkeys(IDS, np.ones((1, 16))), settings, provenance)
    assert sentence_of(search.by_text, "a star", store, 3, COMPUTE) == (
        f"{checkpoint} is not the checkpoint that the features were made with (weights differs); "
        "run `dvc repro`, or set encoder.model to that checkpoint."
    )
