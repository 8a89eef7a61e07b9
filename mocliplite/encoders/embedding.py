"""Images and texts to embeddings by a frozen encoder."""

import math
import re
import string
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, islice
from typing import Any

import numpy as np

from mocliplite.encoders.loading import Encoder, image_features
from mocliplite.runtime.gpu_memory import full_memory_means, in_batches

Pixels = Mapping[str, np.ndarray]  # the model's input for one image, by name of the argument

# The last bits of an image's embedding depend on its place in a batch that is not a multiple of this, in the MKL code
# that is the same for all makers of processors.
_ROWS = 4

_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)


def preprocess(encoder: Encoder, image: np.ndarray) -> Pixels:
    """An RGB uint8 [H, W, 3] image of any size to the model's input: `pixel_values` float32 [3, size, size].

    NaFlex checkpoints of SigLIP 2 keep the aspect ratio: `pixel_values` [P, patch], a mask of them, and the grid.
    """
    from PIL import Image

    inputs = encoder.processor(images=[Image.fromarray(image)], return_tensors="np")
    return {name: np.asarray(inputs[name])[0] for name in inputs}


def embed_images(encoder: Encoder, images: Iterable[np.ndarray], batch: int) -> Iterator[np.ndarray]:
    """embed_pixels of RGB uint8 [H, W, 3] images of any sizes."""
    return embed_pixels(encoder, (preprocess(encoder, image) for image in images), batch)


def embed_pixels(encoder: Encoder, pixels: Iterable[Pixels], batch: int) -> Iterator[np.ndarray]:
    """Yield the embedding of each preprocessed image in order: float32 [D], not of unit length.

    Every forward pass has the same size, the last one padded: the last bits of a result depend on it. Only where the
    memory of a GPU is full, it is smaller. Raises UserError if it is too small for one image.
    """
    images = iter(pixels)
    while held := list(islice(images, batch)):
        parts = in_batches(partial(_forward, encoder, held), len(held), batch, "images")
        yield from chain.from_iterable(parts)


def _forward(encoder: Encoder, held: Sequence[Pixels], start: int, size: int) -> np.ndarray:
    """Return the embeddings of `size` images from `start` on. Several images are padded to a multiple of _ROWS."""
    import torch

    images, padded = held[start : start + size], size if size == 1 else math.ceil(size / _ROWS) * _ROWS
    inputs = {name: torch.from_numpy(_padded(name, [one[name] for one in images], padded)) for name in images[0]}
    bfloat16 = torch.autocast(encoder.model.device.type, torch.bfloat16, enabled=encoder.dtype == "bfloat16")
    with torch.inference_mode(), bfloat16:
        on_device = {name: value.to(encoder.model.device) for name, value in inputs.items()}
        out = image_features(encoder.model, encoder.family, on_device)
    return np.asarray(out[: len(images)].float().cpu().numpy())


def _padded(name: str, rows: list[np.ndarray], size: int) -> np.ndarray:
    """Stack rows and pad them to `size`: pixels by zeros, masks and grids by those of the last image."""
    full = np.zeros((size, *rows[0].shape), dtype=rows[0].dtype)
    full[: len(rows)] = rows
    if name != "pixel_values":
        full[len(rows) :] = rows[-1]
    return full


@full_memory_means("choose a smaller encoder.model")
def embed_texts(encoder: Encoder, texts: Sequence[str]) -> np.ndarray:
    """Embeddings of texts: float32 [N, D], as projected, not of unit length."""
    import torch

    rows = []
    for text in texts:
        # One by one: a text's value then depends on no other text's length.
        tokens = _tokens(encoder, text)
        with torch.inference_mode():
            out = encoder.model.get_text_features(**tokens.to(encoder.model.device))
        rows.append(out.pooler_output[0].float().cpu().numpy())
    return np.stack(rows)


def _tokens(encoder: Encoder, text: str) -> Any:
    """Return the input of the text encoder as it was in training: tensors [1, T] by name."""
    tokenizer, settings = encoder.tokenizer, encoder.model.config.text_config
    length = int(settings.max_position_embeddings)
    options = {"truncation": True, "return_tensors": "pt"}
    if encoder.family in ("siglip", "siglip2"):
        # Lower case, and padding that the model attends to: without a mask, at the full length.
        text = text.lower()
        if encoder.tokenizer_class == "SiglipTokenizer":
            text = re.sub(r"\s+", " ", text.translate(_WITHOUT_PUNCTUATION)).strip()
        return tokenizer([text], padding="max_length", max_length=length, return_attention_mask=False, **options)
    if encoder.family != "clip":
        # RoBERTa's positions start after that of the padding.
        first = settings.pad_token_id + 1 if encoder.family == "altclip" else 0
        length = min(length - first, tokenizer.model_max_length)
    return tokenizer([text], max_length=length, **options)


def embed_classes(encoder: Encoder, names: Sequence[str], templates: Sequence[str]) -> np.ndarray:
    """Class embeddings, float32 [C, D], unit rows: the mean over templates of unit text vectors, at unit length."""
    texts = [template.format(name) for name in names for template in templates]
    rows = unit(embed_texts(encoder, texts)).reshape(len(names), len(templates), -1)
    return unit(rows.mean(axis=1))


def logit_scale(encoder: Encoder) -> float:
    """The temperature that the model was trained with, as a factor on cosines.

    SigLIP's bias is the same for all classes, so it has no influence on a softmax over classes, and is left out.
    """
    if encoder.family == "align":
        return float(1 / encoder.model.temperature.detach())
    return float(encoder.model.logit_scale.detach().exp())


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows at length 1: float32 [..., D]."""
    length = np.linalg.norm(rows, axis=-1, keepdims=True)
    return rows / np.maximum(length, 1e-12)
