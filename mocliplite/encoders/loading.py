"""Frozen encoders in the format of transformers: CLIP and its relatives, and image towers without texts.

transformers and torch are imported where an encoder is loaded, so that a stage with nothing to compute starts at once.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mocliplite import SAME_CODE, params
from mocliplite.encoders.checkpoints import (
    NEEDED,
    TEXT_FAMILIES,
    family,
    has_text_encoder,
    read_json_object,
    refuse_redirections,
)
from mocliplite.errors import UserError, reading

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Checkpoints of classifiers have no pooling layer, whose weights would be random. As in other work, the class token is
# the embedding.
_CLASS_TOKEN = ("vit", "deit")
_INSTRUCTION_SET = "ONEDNN_MAX_CPU_ISA"


@dataclass(frozen=True)
class Encoder:
    """A loaded checkpoint: model in eval mode, and the preprocessing that came with it."""

    family: str  # model_type in config.json
    model: "PreTrainedModel"
    processor: Any  # an image processor of transformers that works on PIL images
    tokenizer: Any  # None: an image tower alone, which embeds no texts
    tokenizer_class: str  # as tokenizer_config.json names it
    dtype: str = "float32"  # arithmetic for images, setting encoder.dtype; texts are always embedded in float32


def load_encoder(folder: Path, compute: params.Compute, dtype: str = "float32") -> Encoder:
    """Load a checkpoint from a folder, in eval mode, on the device that compute names. No code of it is executed.

    dtype: as encoder.dtype.

    Raises UserError for a checkpoint that is damaged, of another kind, or whose preprocessing does not fit.
    """
    os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "1")
    if dtype == "bfloat16":
        allow_bfloat16()
    from pickle import UnpicklingError

    from safetensors import SafetensorError
    from transformers.utils import logging

    from mocliplite.encoders.linear import use_onednn
    from mocliplite.runtime.device import device
    from mocliplite.runtime.gpu_memory import full_memory_means

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    for name in NEEDED:
        read_json_object(folder / name)
    refuse_redirections(folder)
    kind = family(folder)
    if not has_text_encoder(folder) and "text_config" in read_json_object(folder / "config.json"):
        raise UserError(
            f"{folder} is of the family {kind!r}, whose texts cannot be embedded here; choose one of "
            f"{', '.join(TEXT_FAMILIES)}, or embed the keyframes elsewhere and set encoder.features."
        )
    try:
        with reading(folder):
            model, report = _load_model(folder, kind)
            processor = load_processor(folder, kind)
            tokenizer = _load_tokenizer(folder, kind) if has_text_encoder(folder) else None
    except (
        *(OSError, ValueError, TypeError, RuntimeError, KeyError, EOFError, ImportError, AttributeError),
        *(AssertionError, SafetensorError, UnpicklingError),
    ) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{folder} does not load as a checkpoint of transformers ({reason}); get it again.") from None
    # transformers initialises missing weights at random, and only logs it.
    missing = sorted(report["missing_keys"])
    if missing:
        raise UserError(f"{folder}: {len(missing)} weights are missing, such as {missing[0]}; download it again.")
    config = folder / "tokenizer_config.json"
    tokenizer_class = str(read_json_object(config).get("tokenizer_class")) if config.is_file() else ""
    encoder = Encoder(kind, model.eval(), processor, tokenizer, tokenizer_class, dtype)
    _check_preprocessing(folder, encoder)
    torch_device = device(compute)
    if torch_device.type == "cpu" and dtype == "float32":
        use_onednn(model)
    with full_memory_means("choose a smaller encoder.model"):
        model.to(torch_device)
    return encoder


def allow_bfloat16() -> None:
    """Let oneDNN use the bfloat16 instructions of the processor, which the fixed instruction set does not have.

    oneDNN reads the variable when it is first used. Where it was used before, or the processor has no such
    instructions, torch computes bfloat16 with those for float32, which takes longer. A value of the user is kept.
    """
    if os.environ.get(_INSTRUCTION_SET) == SAME_CODE[_INSTRUCTION_SET]:
        os.environ[_INSTRUCTION_SET] = "DEFAULT"


def _load_model(folder: Path, kind: str) -> tuple[Any, dict[str, Any]]:
    """Return the model and the report on its weights."""
    import torch
    from transformers import AutoModel, CLIPModel

    where = {"pretrained_model_name_or_path": folder, "local_files_only": True}
    options = {"dtype": torch.float32, "output_loading_info": True}
    if kind == "clip":
        return CLIPModel.from_pretrained(**where, **options)
    return AutoModel.from_pretrained(**where, **options, trust_remote_code=False, **model_options(kind))


def model_options(kind: str) -> dict[str, Any]:
    """Return the options of the constructor of a model of this family."""
    return {"add_pooling_layer": False} if kind in _CLASS_TOKEN else {}


def load_processor(folder: Path, kind: str) -> Any:
    """Return the image processor of a checkpoint of this family. Those based on PIL do not need torchvision."""
    from transformers import AutoImageProcessor, CLIPImageProcessorPil, ViTImageProcessorPil

    settings = read_json_object(folder / "preprocessor_config.json")
    if kind == "clip":
        processor = CLIPImageProcessorPil.from_pretrained(folder, local_files_only=True)
    elif str(settings.get("image_processor_type")).startswith("DINOv3ViT"):
        # DINOv3's own processor needs torchvision. It differs in the order of scaling and resizing: by rounding.
        names = ("size", "image_mean", "image_std", "resample", "do_resize", "do_rescale", "do_normalize")
        processor = ViTImageProcessorPil(**{name: settings[name] for name in names})
    else:
        processor = AutoImageProcessor.from_pretrained(
            folder, local_files_only=True, backend="pil", trust_remote_code=False
        )
    if getattr(processor, "crop_size", None) is None:
        processor.do_center_crop = False
    return processor


def _load_tokenizer(folder: Path, kind: str) -> Any:
    from transformers import AutoTokenizer, CLIPTokenizer, PreTrainedTokenizerFast

    where = {"pretrained_model_name_or_path": folder, "local_files_only": True}
    if kind == "clip":
        return CLIPTokenizer.from_pretrained(**where)
    if kind in ("siglip", "siglip2"):
        # SigLIP's own class needs sentencepiece. What it does to a text first is in embedding.py.
        return PreTrainedTokenizerFast.from_pretrained(**where, padding_side="right")
    return AutoTokenizer.from_pretrained(**where, trust_remote_code=False)


def _check_preprocessing(folder: Path, encoder: Encoder) -> None:
    """Raise UserError unless images of any size become an input of the size that the model takes."""
    import torch
    from PIL import Image

    try:
        wide, high = (
            encoder.processor(images=[Image.new("RGB", size)], return_tensors="np") for size in ((640, 480), (480, 640))
        )
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{folder}: preprocessor_config.json cannot be used ({reason}); get it again.") from None
    if encoder.family == "clip":
        size, (height, width) = encoder.model.config.vision_config.image_size, wide["pixel_values"].shape[2:]
        if (height, width) != (size, size):
            raise UserError(
                f"{folder}: preprocessor_config.json cuts {width}x{height} pixels, but config.json wants {size}x{size}"
                "; get it again."
            )
        return
    shapes = [np.shape(inputs["pixel_values"]) for inputs in (wide, high)]
    if shapes[0] != shapes[1]:
        raise UserError(
            f"{folder}: preprocessor_config.json leaves images of different shapes ({list(shapes[0])} and "
            f"{list(shapes[1])}); set crop_size in it, or choose another checkpoint."
        )
    try:
        with torch.inference_mode():
            inputs = {name: torch.from_numpy(np.asarray(wide[name])) for name in wide}
            features = image_features(encoder.model, encoder.family, inputs)
    except (RuntimeError, ValueError, TypeError, AttributeError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{folder} gives no embedding of an image ({reason}); choose a checkpoint with a pooled output."
        ) from None
    if features.ndim != 2 or len(features) != 1:
        raise UserError(f"{folder} gives {list(features.shape)} instead of one vector per image; choose another.")


def image_features(model: Any, kind: str, inputs: dict[str, Any]) -> Any:
    """Embeddings of preprocessed images, a tensor [N, D], by a model of this family.

    With a text encoder, they are projected to the common space. Otherwise they are the pooled output, or the class
    token.
    """
    if kind in TEXT_FAMILIES:
        return model.get_image_features(**inputs).pooler_output
    output = model(**inputs)
    return output.last_hidden_state[:, 0] if kind in _CLASS_TOKEN else output.pooler_output.flatten(1)
