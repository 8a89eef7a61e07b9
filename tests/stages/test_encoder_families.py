"""Every family of encoders through the stages: keyframes, prompts, pairs; and what works without a text encoder."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from builders import CHECKOUT, sentence_of, set_params
from random_checkpoints import IMAGE, TEXT, save_checkpoint

from mocliplite import params
from mocliplite.data.clips import Clip
from mocliplite.encoders import embedding, loading
from mocliplite.errors import Failure
from mocliplite.evaluation.method_table import METHODS
from mocliplite.extraction.keyframes import embedded
from mocliplite.files import read_json
from mocliplite.fusion import search
from mocliplite.predict import torch_models
from mocliplite.predict.export import export
from mocliplite.predict.recognizer import Recognizer
from mocliplite.store import schema, stores, table_file
from stages import evaluate, keyframes, pairs, prompts, train_head, train_probes


@pytest.fixture(autouse=True)
def few_keyframe_shards(monkeypatch):
    """Fewer files of keyframes, which makes the tests faster."""
    monkeypatch.setitem(schema.SHARDS, "keyframes", 2)


def join(family):
    """Run the stages that depend on the encoder; return the arrays of pairs.h5."""
    save_checkpoint("encoder", family)
    set_params(encoder={"model": "encoder", "files": "encoder", "frames": 1})
    for stage in (keyframes, prompts, pairs):
        stage.main()
    return table_file.read_table("features/pairs.h5", "pairs").arrays


@pytest.mark.parametrize("family", [*TEXT, *IMAGE])
def test_keyframes_prompts_and_pairs_of_every_family(small_copy, family):
    arrays = join(family)
    keyframe = arrays["keyframe"][:, 0]
    assert np.isfinite(keyframe).all()
    assert len(np.unique(keyframe, axis=0)) > len(keyframe) // 2
    assert ("prompts" in arrays) == ("logit_scale" in arrays) == (family in TEXT)
    if family in TEXT:
        assert arrays["prompts"].shape == (3, keyframe.shape[1])
        assert np.linalg.norm(arrays["prompts"], axis=1) == pytest.approx([1, 1, 1], abs=1e-5)
    store = stores.open_store("features/keyframes")
    assert store.failures == {}
    assert store.provenance["cost"]["macs"] > 0


def test_an_image_tower_alone_goes_from_keyframes_to_predictions(small_copy):
    join("dinov2")
    for stage in (train_probes, train_head, evaluate):
        stage.main()
    assert set(read_json("metrics/eval.json")["top1"]) == set(METHODS) - {"zero_shot"}
    assert set(read_json("metrics/cost.json")) == {"encoder", "motion", "head", "total"}
    export("exported", with_clip=False)
    assert not Path("exported/prompts").exists()
    assert "prompts" not in Path("exported/README.md").read_text()
    answers = [Recognizer.load(folder)("clips/Rolling/0.avi") for folder in ("models", "exported")]
    assert answers[0] == answers[1]
    call = search.by_text, "a ball", stores.open_store("features/keyframes"), 3, params.DEFAULT_COMPUTE
    assert sentence_of(*call) == (
        "encoder embeds no texts; search by --like with a clip, or set encoder.model to a checkpoint with a text "
        "encoder and run `dvc repro`."
    )


def test_nothing_is_computed_again_for_the_same_checkpoint(small_copy, monkeypatch):
    join("siglip")
    before = {path: path.read_bytes() for path in Path("features/keyframes").iterdir()}
    monkeypatch.setattr(loading, "load_encoder", lambda *_: pytest.fail("the encoder is loaded"))
    keyframes.main()
    assert {path: path.read_bytes() for path in Path("features/keyframes").iterdir()} == before


def test_bfloat16_is_part_of_the_settings_of_a_store_and_of_the_recogniser(small_copy, monkeypatch):
    monkeypatch.setattr(loading, "allow_bfloat16", lambda: None)  # would change the code of all later tests
    exact = stores.open_store("features/keyframes")
    assert "dtype" not in exact.settings
    set_params(encoder={"dtype": "bfloat16"})
    for stage in (keyframes, pairs, train_probes, train_head):
        stage.main()
    rounded = stores.open_store("features/keyframes")
    assert rounded.settings == {**exact.settings, "dtype": "bfloat16"}
    loaded = []
    monkeypatch.setattr(
        torch_models, "load_encoder", lambda *given: loaded.append(given) or loading.load_encoder(*given)
    )
    Recognizer.load("models")
    assert [dtype for _, _, dtype in loaded] == ["bfloat16"]


def test_clips_of_several_shards_share_a_forward_pass(small_copy, monkeypatch):
    passes = []

    def counted(*arguments):
        passes.append(1)
        return loading.image_features(*arguments)

    monkeypatch.setattr(embedding, "image_features", counted)
    monkeypatch.setitem(schema.SHARDS, "keyframes", 8)
    shutil.rmtree("features/keyframes")
    keyframes.main()
    assert len(passes) == 3  # 24 clips in batches of 8


@pytest.mark.parametrize("usable", ["110", "011", "101", "000", "001100"])
def test_every_clip_has_its_embedding_or_its_failure(monkeypatch, usable):
    monkeypatch.setattr(embedding, "embed_pixels", lambda _, pixels, batch: map(np.array, list(pixels)))
    settings = params.load(CHECKOUT / "params.yaml").encoder
    clips = [Clip(f"{number}", "", "", (0,), "", 0, "") for number in range(len(usable))]
    prepared = [
        (clip, [(5, 0.5, int(clip.id))] if flag == "1" else Failure(clip.id))
        for clip, flag in zip(clips, usable, strict=True)
    ]
    results = list(embedded(prepared, lambda: None, settings))
    assert [clip_id for clip_id, _ in results] == [clip.id for clip in clips]
    for clip_id, result in results:
        found = result.reason if isinstance(result, Failure) else str(result.arrays["embedding"][0])
        assert found == clip_id
