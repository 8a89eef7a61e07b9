"""The frozen CLIP: images and texts to embeddings.

transformers and torch are imported where a model is loaded, so that a stage with nothing to compute starts at once.
"""

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mocliplite import params
from mocliplite.encoders.checkpoints import NEEDED, read_json_object
from mocliplite.errors import UserError

if TYPE_CHECKING:
    from transformers import CLIPImageProcessorPil, CLIPModel, CLIPTokenizer


# The last bits of an image's embedding depend on its place in a batch that is not a multiple of this, in the MKL code
# that is the same for all makers of processors.
_ROWS = 4


@dataclass(frozen=True)
class Clip:
    """A loaded checkpoint: model in eval mode, and the preprocessing that came with it."""

    model: "CLIPModel"
    processor: "CLIPImageProcessorPil"
    tokenizer: "CLIPTokenizer"


def load_clip(folder: Path, compute: params.Compute) -> Clip:
    """Load a checkpoint from a folder, in eval mode, on the device that compute names."""
    os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "1")
    from pickle import UnpicklingError

    import torch
    from safetensors import SafetensorError
    from transformers import CLIPImageProcessorPil, CLIPModel, CLIPTokenizer
    from transformers.utils import logging

    from mocliplite.encoders.linear import use_onednn
    from mocliplite.runtime.device import device

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    for name in NEEDED:
        read_json_object(folder / name)
    where = {"pretrained_model_name_or_path": folder, "local_files_only": True}
    try:
        model, report = CLIPModel.from_pretrained(**where, dtype=torch.float32, output_loading_info=True)
        processor = CLIPImageProcessorPil.from_pretrained(**where)
        tokenizer = CLIPTokenizer.from_pretrained(**where)
    except (OSError, ValueError, RuntimeError, KeyError, EOFError, SafetensorError, UnpicklingError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{folder} does not load as a CLIP checkpoint ({reason}); get it again.") from None
    # transformers initialises missing weights at random, and only logs it.
    missing = sorted(report["missing_keys"])
    if missing:
        raise UserError(f"{folder}: {len(missing)} weights are missing, such as {missing[0]}; download it again.")
    if processor.crop_size is None:
        processor.do_center_crop = False
    size, (height, width) = model.config.vision_config.image_size, _input_size(folder, processor)
    if (height, width) != (size, size):
        raise UserError(
            f"{folder}: preprocessor_config.json cuts {width}x{height} pixels, but config.json wants {size}x{size}; "
            "get it again."
        )
    torch_device = device(compute)
    if torch_device.type == "cpu":
        use_onednn(model)
    return Clip(model.eval().to(torch_device), processor, tokenizer)


def _input_size(folder: Path, processor: "CLIPImageProcessorPil") -> tuple[int, int]:
    """Height and width of what the preprocessing makes of a picture that is wider than high."""
    from PIL import Image

    try:
        pixels = processor(images=[Image.new("RGB", (640, 480))], return_tensors="np")["pixel_values"]
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{folder}: preprocessor_config.json cannot be used ({reason}); get it again.") from None
    return pixels.shape[2], pixels.shape[3]


def preprocess(clip: Clip, images: Sequence[np.ndarray]) -> np.ndarray:
    """RGB uint8 [H, W, 3] images, of any sizes, to the model's input: float32 [N, 3, size, size]."""
    from PIL import Image

    pictures = [Image.fromarray(image) for image in images]
    return clip.processor(images=pictures, return_tensors="np")["pixel_values"]


def embed_images(clip: Clip, images: Iterable[np.ndarray], batch: int) -> Iterator[np.ndarray]:
    """embed_pixels of RGB uint8 [H, W, 3] images of any sizes."""
    return embed_pixels(clip, (preprocess(clip, [image])[0] for image in images), batch)


def embed_pixels(clip: Clip, pixels: Iterable[np.ndarray], batch: int) -> Iterator[np.ndarray]:
    """Yield the embedding of each preprocessed image in order: float32 [D], as projected, not of unit length.

    Every forward pass has the same size, the last one padded by zeros: the last bits of a result depend on it. Several
    images are padded to a multiple of _ROWS.
    """
    import torch

    size = batch if batch == 1 else math.ceil(batch / _ROWS) * _ROWS
    held: list[np.ndarray] = []

    def forward() -> Iterator[np.ndarray]:
        full = np.zeros((size, *held[0].shape), dtype=np.float32)
        full[: len(held)] = held
        with torch.inference_mode():
            out = clip.model.get_image_features(pixel_values=torch.from_numpy(full).to(clip.model.device))
        yield from out.pooler_output[: len(held)].float().cpu().numpy()

    for image in pixels:
        held.append(image)
        if len(held) == batch:
            yield from forward()
            held = []
    if held:
        yield from forward()


def embed_texts(clip: Clip, texts: Sequence[str]) -> np.ndarray:
    """Embeddings of texts: float32 [N, D], as projected, not of unit length."""
    import torch

    rows = []
    for text in texts:
        # One by one: a text's value then depends on no other text's length.
        tokens = clip.tokenizer([text], truncation=True, max_length=_positions(clip), return_tensors="pt")
        with torch.inference_mode():
            out = clip.model.get_text_features(**tokens.to(clip.model.device))
        rows.append(out.pooler_output[0].float().cpu().numpy())
    return np.stack(rows)


def embed_classes(clip: Clip, names: Sequence[str], templates: Sequence[str]) -> np.ndarray:
    """Class embeddings, float32 [C, D], unit rows: the mean over templates of unit text vectors, at unit length."""
    texts = [template.format(name) for name in names for template in templates]
    rows = unit(embed_texts(clip, texts)).reshape(len(names), len(templates), -1)
    return unit(rows.mean(axis=1))


def logit_scale(clip: Clip) -> float:
    """The temperature that the model was trained with, as a factor on cosines."""
    return float(clip.model.logit_scale.detach().exp())


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows at length 1: float32 [..., D]."""
    length = np.linalg.norm(rows, axis=-1, keepdims=True)
    return rows / np.maximum(length, 1e-12)


def _positions(clip: Clip) -> int:
    return int(clip.model.config.text_config.max_position_embeddings)
