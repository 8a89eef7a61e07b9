"""Preprocessing without transformers: the same bytes as the processor of each family, or a refusal."""

import numpy as np
import pytest
from builders import sentence_of
from random_checkpoints import IMAGE, TEXT, save_processor

from mocliplite.encoders import embedding, loading, preprocessing

OTHER_KIND = ("siglip2", "align", "convnext", "efficientnet", "resnet")
ENCODER = {"model": None, "tokenizer": None, "tokenizer_class": ""}


def encoder_of(folder, family):
    save_processor(folder, family)
    return loading.Encoder(family, processor=loading.load_processor(folder, family), **ENCODER)


@pytest.mark.parametrize("family", sorted({*TEXT, *IMAGE} - {*OTHER_KIND}))
def test_pixels_are_those_of_the_processor_to_the_byte(tmp_path, family):
    encoder = encoder_of(tmp_path, family)
    settings = preprocessing.settings_of(tmp_path, encoder)
    rng = np.random.default_rng(1)
    for size in ((90, 160), (161, 91), (33, 32), (32, 32)):
        image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        found = preprocessing.pixels(image, settings)
        assert found.dtype == np.float32
        assert found.tobytes() == embedding.preprocess(encoder, image)["pixel_values"].tobytes()


@pytest.mark.parametrize(
    ("size", "crop", "fits"),
    [
        ([32], [32, 32], True),
        ([32], [33, 32], False),
        ([32], None, False),
        ([40, 32], [40, 32], True),
        ([40, 32], [41, 32], False),
        ([40, 32], [40, 33], False),
        ([40, 32], None, True),
        ([40, 32, 8], [8, 8], False),
    ],
)
def test_a_crop_larger_than_the_resized_image_is_refused(size, crop, fits):
    settings = {"size": size, "crop": crop}
    if fits:
        assert preprocessing.checked(settings) == settings
        return
    with pytest.raises(ValueError):  # noqa: PT011, the message is for exports
        preprocessing.checked(settings)


@pytest.mark.parametrize("family", OTHER_KIND)
def test_another_kind_of_preprocessing_is_refused(tmp_path, family):
    assert sentence_of(preprocessing.settings_of, tmp_path, encoder_of(tmp_path, family)) == (
        f"{tmp_path} is of the family {family!r}, whose preprocessing is more than resize, crop and normalise; "
        "export it without --format onnx."
    )
