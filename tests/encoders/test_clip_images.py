"""The image tower without transformers: the same bytes, and what differs from CLIP is left to transformers."""

import json

import numpy as np
import pytest
from builders import run_python, sentence_of
from random_checkpoints import save_checkpoint
from safetensors.torch import load_file, save_file

from mocliplite.encoders.clip_images import ImageTower, load_image_encoder
from mocliplite.encoders.embedding import embed_images, preprocess
from mocliplite.encoders.loading import load_encoder
from mocliplite.params import Compute

pytestmark = pytest.mark.usefixtures("folder")
COMPUTE = Compute(workers=1, threads=0, device="cpu", engine="inline", time_limit=60)
SIZES = ((240, 320), (320, 240), (32, 32), (31, 517), (65, 33), (720, 1280))


def clip(change=None, **changes):
    """A random CLIP; changes: entries of one of its JSON files, of the section `vision_config` in config.json."""
    folder = save_checkpoint("clip", "clip")
    if change:
        settings = json.loads((folder / change).read_text())
        (settings["vision_config"] if change == "config.json" else settings).update(changes)
        (folder / change).write_text(json.dumps(settings))
    return folder


def images():
    return [np.random.default_rng(row).integers(0, 256, (*size, 3), dtype=np.uint8) for row, size in enumerate(SIZES)]


@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
@pytest.mark.parametrize("batch", [1, 4])
def test_embeddings_are_the_bytes_of_transformers(activation, batch):
    folder = clip("config.json", hidden_act=activation)
    light, reference = load_image_encoder(folder, COMPUTE), load_encoder(folder, COMPUTE)
    assert isinstance(light.model, ImageTower)
    rows = [np.stack(list(embed_images(encoder, images(), batch))) for encoder in (light, reference)]
    assert rows[0].tobytes() == rows[1].tobytes()


@pytest.mark.parametrize("size", SIZES)
def test_preprocessing_is_the_bytes_of_transformers(size):
    folder = clip("preprocessor_config.json", size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    light, reference = (
        preprocess(load(folder, COMPUTE), image)["pixel_values"] for load in (load_image_encoder, load_encoder)
    )
    assert (light.dtype, light.tobytes()) == (reference.dtype, reference.tobytes())


@pytest.mark.parametrize(
    ("change", "changes"),
    [
        ("config.json", {"hidden_act": "relu"}),
        ("preprocessor_config.json", {"do_normalize": False}),
        ("preprocessor_config.json", {"resample": 2}),
        ("preprocessor_config.json", {"size": {"shortest_edge": 40}}),
    ],
)
def test_what_differs_from_clip_is_left_to_transformers(change, changes):
    folder = clip(change, **changes)
    light, reference = load_image_encoder(folder, COMPUTE), load_encoder(folder, COMPUTE)
    assert type(light.model) is type(reference.model)


@pytest.mark.parametrize("family", ["siglip", "dinov2"])
def test_other_families_are_left_to_transformers(family):
    loaded = load_image_encoder(save_checkpoint(family, family), COMPUTE)
    assert loaded.family == family


def test_damaged_weights_give_the_sentence_of_the_other_way():
    folder = clip()
    weights = load_file(folder / "model.safetensors")
    del weights["visual_projection.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert sentence_of(load_image_encoder, folder, COMPUTE) == sentence_of(load_encoder, folder, COMPUTE)


def test_transformers_is_not_imported():
    folder = clip()
    code = (
        "import sys, pathlib, numpy, mocliplite.predict.recognizer as module;"
        "from mocliplite.encoders.embedding import embed_images;"
        f"encoder = module.load_image_encoder(pathlib.Path('{folder}'), module.COMPUTE);"
        "rows = list(embed_images(encoder, [numpy.zeros((40, 30, 3), numpy.uint8)], 8));"
        "print(len(rows), {'transformers', 'torch._dynamo', 'sympy', 'scipy'} & set(sys.modules))"
    )
    assert run_python("-c", code).stdout == "1 set()\n"
