"""Every family of encoders on small random weights: images and texts embed as in a direct call of transformers."""

import json
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers as hf
from builders import sentence_of
from random_checkpoints import IMAGE, TEXT, save_checkpoint

from mocliplite.encoders import checkpoints, cost, embedding, loading
from mocliplite.errors import UserError
from mocliplite.params import Compute

COMPUTE = Compute(workers=1, threads=0, device="cpu", engine="inline", time_limit=60)
FAMILIES = (*TEXT, *IMAGE)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Return the folder of a checkpoint of a family, made when it is first asked for."""
    made = {}

    def folder(family):
        if family not in made:
            made[family] = save_checkpoint(tmp_path_factory.mktemp("models") / family, family)
        return made[family]

    return folder


@pytest.fixture
def load(folders):
    return lambda family: loading.load_encoder(folders(family), COMPUTE)


def pictures():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in ((48, 64), (64, 48), (33, 70))]


def embedded(encoder, batch):
    return np.stack(list(embedding.embed_images(encoder, pictures(), batch)))


def direct_image_features(folder, family):
    """Embed the pictures by transformers alone, in one batch."""
    processor = hf.AutoImageProcessor.from_pretrained(folder, backend="pil")
    inputs = processor(images=pictures(), return_tensors="pt")
    model = hf.AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        if family in TEXT:
            return model.get_image_features(**inputs).pooler_output.numpy()
        output = model(**inputs)
    return (output.last_hidden_state[:, 0] if family in ("vit", "deit") else output.pooler_output.flatten(1)).numpy()


@pytest.mark.parametrize("family", FAMILIES)
def test_images_embed_as_in_a_direct_call_of_transformers(folders, load, family):
    encoder, wanted = load(family), direct_image_features(folders(family), family)
    assert encoder.family == family
    for batch in (1, 2):  # the second pass of 2 is padded
        rows = embedded(encoder, batch)
        assert rows.dtype == np.float32
        assert np.abs(rows - wanted).max() < 1e-4 * np.abs(wanted).max()
    assert np.abs(rows - rows[0]).max() > 1e-3 * np.abs(rows).max()  # not the same for every picture


@pytest.mark.parametrize("family", FAMILIES)
def test_cost_counts_the_parameters_of_the_image_tower_alone(folders, load, family):
    names = ("text_", "logit_", "temperature")
    parameters = load(family).model.named_parameters()
    found = cost.image_cost(folders(family))
    assert found["parameters"] == sum(value.numel() for name, value in parameters if not name.startswith(names))
    assert found["macs"] > 1000


TEXTS = ["a photo of a star", "a video of a ball", "a " * 40]


def direct_text_features(folder, family):
    """Embed the texts by transformers alone, in one batch, as the documentation of the family describes it."""
    tokenizer, model = hf.AutoTokenizer.from_pretrained(folder), hf.AutoModel.from_pretrained(folder).eval()
    length = {"clip": 77, "altclip": 18}.get(family, 20)
    options = {"padding": True, "max_length": length}
    if family.startswith("siglip"):
        tokenizer = hf.PreTrainedTokenizerFast.from_pretrained(folder, model_input_names=["input_ids"])
        options = {"padding": "max_length", "max_length": 24}
    with torch.no_grad():
        return model.get_text_features(
            **tokenizer(TEXTS, truncation=True, return_tensors="pt", **options)
        ).pooler_output


@pytest.mark.parametrize("family", TEXT)
def test_texts_embed_as_in_a_direct_call_of_transformers(folders, load, family):
    rows = embedding.embed_texts(load(family), TEXTS)
    assert np.abs(rows - direct_text_features(folders(family), family).numpy()).max() < 1e-5
    assert np.abs(rows[0] - rows[1]).max() > 1e-4


@pytest.mark.parametrize("family", TEXT)
def test_zero_shot_probabilities_are_those_of_the_model(folders, load, family):
    encoder = load(family)
    images = embedding.unit(embedded(encoder, 1))
    texts = embedding.unit(embedding.embed_texts(encoder, TEXTS[:2]))
    ours = torch.from_numpy(embedding.logit_scale(encoder) * images @ texts.T).softmax(dim=1)

    processor = hf.AutoImageProcessor.from_pretrained(folders(family), backend="pil")
    inputs = [embedding._tokens(encoder, text) for text in TEXTS[:2]]
    with torch.no_grad():
        # One text at a time, and SigLIP's bias included, which is the same for all.
        pixels = processor(images=pictures(), return_tensors="pt")
        logits = torch.cat([encoder.model(**pixels, **tokens).logits_per_image for tokens in inputs], dim=1)
    assert np.allclose(ours, logits.softmax(dim=1), atol=1e-5)


def test_siglip_gets_texts_in_lower_case_without_punctuation_at_full_length(folders, folder):
    settings = folders("siglip") / "tokenizer_config.json"
    before = settings.read_text()
    settings.write_text(json.dumps(json.loads(before) | {"tokenizer_class": "SiglipTokenizer"}))
    encoder = loading.load_encoder(folders("siglip"), COMPUTE)
    settings.write_text(before)
    plain, tokens = (embedding._tokens(encoder, text) for text in ("a big star", "A  Big, star."))
    assert tokens["input_ids"].tolist() == plain["input_ids"].tolist()
    assert tokens["input_ids"].shape == (1, 24)
    assert set(tokens) == {"input_ids"}


@pytest.mark.usefixtures("folder")
def test_an_image_tower_needs_no_tokenizer_and_a_text_encoder_does():
    assert checkpoints.locate(str(save_checkpoint("dinov2", "dinov2")), None) == Path("dinov2")
    save_checkpoint("siglip", "siglip")
    Path("siglip/tokenizer.json").unlink()
    wanted = "siglip is not a checkpoint: tokenizer.json is missing; save one there with save_pretrained."
    assert sentence_of(checkpoints.locate, "siglip", None) == wanted


@pytest.mark.usefixtures("folder")
def test_dinov3_is_preprocessed_without_torchvision():
    path = save_checkpoint("dinov3", "dinov3_vit") / "preprocessor_config.json"
    settings = json.loads(path.read_text())
    before = embedded(loading.load_encoder(Path("dinov3"), COMPUTE), 1)
    path.write_text(json.dumps(settings | {"image_processor_type": "DINOv3ViTImageProcessorFast"}))
    assert np.array_equal(embedded(loading.load_encoder(Path("dinov3"), COMPUTE), 1), before)


@pytest.mark.usefixtures("folder")
def test_a_family_whose_texts_cannot_be_embedded_is_refused():
    path = save_checkpoint("other", "clip") / "config.json"
    path.write_text(path.read_text().replace('"model_type": "clip"', '"model_type": "blip"'))
    assert sentence_of(loading.load_encoder, Path("other"), COMPUTE) == (
        "other is of the family 'blip', whose texts cannot be embedded here; choose one of clip, siglip, siglip2, "
        "altclip, metaclip_2, chinese_clip, align, or embed the keyframes elsewhere and set encoder.features."
    )


@pytest.mark.usefixtures("folder")
def test_a_model_without_a_pooled_output_is_refused():
    config = hf.ViTMAEConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=32, patch_size=16)
    hf.ViTMAEModel(config).save_pretrained("mae")
    hf.ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained("mae")
    sentence = sentence_of(loading.load_encoder, Path("mae"), COMPUTE)
    assert sentence.startswith("mae gives no embedding of an image (")
    assert sentence.endswith("); choose a checkpoint with a pooled output.")


@pytest.mark.usefixtures("folder")
def test_preprocessing_that_leaves_images_of_different_shapes_is_refused():
    path = save_checkpoint("dino", "dinov2") / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"do_center_crop": False, "crop_size": None}))
    assert sentence_of(loading.load_encoder, Path("dino"), COMPUTE) == (
        "dino: preprocessor_config.json leaves images of different shapes ([1, 3, 36, 48] and [1, 3, 48, 36]); set "
        "crop_size in it, or choose another checkpoint."
    )


@pytest.mark.usefixtures("folder")
def test_code_in_a_checkpoint_is_not_executed():
    path = save_checkpoint("evil", "dinov2") / "config.json"
    Path("evil/code.py").write_text("raise SystemExit('executed')\n")
    classes = {"AutoConfig": "code.Config", "AutoModel": "code.Model"}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model_type": "unknown", "auto_map": classes}))
    assert sentence_of(loading.load_encoder, Path("evil"), COMPUTE).startswith("evil does not load as a checkpoint of ")


@pytest.mark.parametrize(
    ("family", "file", "changes"),
    [
        ("vit", "config.json", {"auto_map": {"AutoConfig": "program.Own", "AutoModel": "program.Own"}}),
        ("vit", "config.json", {"auto_map": {"AutoConfig": "program.Own"}, "model_type": "own"}),
        (
            "vit",
            "preprocessor_config.json",
            {"auto_map": {"AutoImageProcessor": "program.Own"}, "image_processor_type": "Own"},
        ),
        (
            "altclip",
            "tokenizer_config.json",
            {"auto_map": {"AutoTokenizer": ["program.Own", None]}, "tokenizer_class": "Own"},
        ),
    ],
)
def test_a_program_in_a_checkpoint_is_not_run(folders, tmp_path, family, file, changes):
    copy = Path(shutil.copytree(folders(family), tmp_path / "copy"))
    (copy / "program.py").write_text(
        f"from pathlib import Path\nPath({str(tmp_path / 'executed')!r}).touch()\nclass Own:\n    pass\n"
    )
    settings = json.loads((copy / file).read_text())
    (copy / file).write_text(json.dumps({**settings, **changes}))
    with suppress(UserError):
        loading.load_encoder(copy, COMPUTE)
    assert not (tmp_path / "executed").exists()
