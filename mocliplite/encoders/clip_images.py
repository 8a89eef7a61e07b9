"""The image tower of CLIP in torch alone, for prediction: importing transformers takes longer than the whole answer.

The embeddings are the same bytes as those of transformers. A checkpoint that differs from those of CLIP in more than
its sizes is left to transformers.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.nn import functional

from mocliplite import params
from mocliplite.encoders.checkpoints import family, read_json_object
from mocliplite.encoders.linear import linear
from mocliplite.encoders.loading import Encoder, load_encoder
from mocliplite.runtime.device import device

_WEIGHTS = "model.safetensors"
_STEPS = ("do_convert_rgb", "do_resize", "do_center_crop", "do_rescale", "do_normalize")


def load_image_encoder(folder: Path, compute: params.Compute) -> Encoder:
    """Load a checkpoint for images alone, on the device that compute names; by transformers if it is no plain CLIP.

    Raises UserError as load_encoder does.
    """
    torch_device = device(compute)
    try:
        encoder = _plain_clip(folder, torch_device)
    except (SafetensorError, RuntimeError, KeyError, TypeError, ValueError):
        encoder = None  # transformers says what is wrong
    return encoder or load_encoder(folder, compute)


@dataclass(frozen=True)
class Preprocessing:
    """Resizes the shorter edge of an image by bicubic interpolation, cuts out the central square, and normalises it."""

    size: int
    factor: float
    mean: np.ndarray  # float32 [3]
    std: np.ndarray  # float32 [3]

    def __call__(self, images: list[Image.Image], return_tensors: str = "np") -> dict[str, np.ndarray]:
        """Return pixel_values, float32 [N, 3, size, size], of RGB images; as an image processor of transformers."""
        return {"pixel_values": np.stack([self._pixels(image) for image in images])}

    def _pixels(self, image: Image.Image) -> np.ndarray:
        longer = int(self.size * max(image.size) / min(image.size))
        edges = (longer, self.size) if image.width > image.height else (self.size, longer)
        resized = np.array(image.resize(edges, Image.Resampling.BICUBIC))
        top, left = ((length - self.size) // 2 for length in resized.shape[:2])
        pixels = resized[top : top + self.size, left : left + self.size].astype(np.float64) * self.factor
        return ((pixels.astype(np.float32) - self.mean) / self.std).transpose(2, 0, 1)


class Features(NamedTuple):
    """What transformers calls the result of get_image_features."""

    pooler_output: Tensor  # float32 [N, D]


@dataclass(frozen=True)
class ImageTower:
    """The image tower of a CLIP: a vision transformer, and the projection of its class token."""

    tensors: dict[str, Tensor]  # by their names in the checkpoint, float32
    layers: int
    heads: int
    activation: str
    epsilon: float

    @property
    def device(self) -> torch.device:
        """The device of the tensors."""
        return self.tensors["visual_projection.weight"].device

    def get_image_features(self, pixel_values: Tensor) -> Features:
        """Return the embeddings of preprocessed images, float32 [N, 3, size, size]."""
        patch = self.tensors["vision_model.embeddings.patch_embedding.weight"]
        patches = functional.conv2d(pixel_values, patch, stride=patch.shape[2:]).flatten(2).transpose(1, 2)
        token = self.tensors["vision_model.embeddings.class_embedding"].expand(len(patches), 1, -1)
        x = torch.cat([token, patches], dim=1) + self.tensors["vision_model.embeddings.position_embedding.weight"]
        x = self._normalised("vision_model.pre_layrnorm", x)
        for number in range(self.layers):
            x = self._layer(f"vision_model.encoder.layers.{number}", x)
        x = self._normalised("vision_model.post_layernorm", x[:, 0])
        return Features(linear(x, self.tensors["visual_projection.weight"]))

    def _layer(self, name: str, x: Tensor) -> Tensor:
        """Self-attention and a perceptron, each after a normalisation and added to its input [N, T, width]."""
        tokens = self._normalised(f"{name}.layer_norm1", x)
        query, key, value = (
            self._linear(f"{name}.self_attn.{part}_proj", tokens).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for part in ("q", "k", "v")
        )
        mixed = functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        x = x + self._linear(f"{name}.self_attn.out_proj", mixed)
        hidden = self._linear(f"{name}.mlp.fc1", self._normalised(f"{name}.layer_norm2", x))
        active = hidden * torch.sigmoid(1.702 * hidden) if self.activation == "quick_gelu" else functional.gelu(hidden)
        return x + self._linear(f"{name}.mlp.fc2", active)

    def _linear(self, name: str, x: Tensor) -> Tensor:
        return linear(x, self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"])

    def _normalised(self, name: str, x: Tensor) -> Tensor:
        weight, bias = self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"]
        return functional.layer_norm(x, weight.shape, weight, bias, self.epsilon)


def _plain_clip(folder: Path, torch_device: torch.device) -> Encoder | None:
    """Return the image tower and preprocessing of a checkpoint, None where it differs from a CLIP in more than sizes.

    Raises various errors where it is damaged.
    """
    preprocessing, config = _preprocessing(folder), read_json_object(folder / "config.json")
    vision = config.get("vision_config")
    if preprocessing is None or family(folder) != "clip" or not isinstance(vision, dict):
        return None
    activation = vision.get("hidden_act", "quick_gelu")
    if activation not in ("quick_gelu", "gelu") or not (folder / _WEIGHTS).is_file():
        return None
    # The defaults are those of transformers.
    layers, heads = vision.get("num_hidden_layers", 12), vision.get("num_attention_heads", 12)
    tensors = _read_weights(folder / _WEIGHTS, torch_device)
    tower = ImageTower(tensors, layers, heads, activation, vision.get("layer_norm_eps", 1e-5))
    size = vision.get("image_size", 224)
    tower.get_image_features(torch.zeros(1, 3, size, size, device=torch_device))  # raises an error for other shapes
    if size != preprocessing.size:
        return None
    return Encoder("clip", tower, preprocessing, tokenizer=None, tokenizer_class="")


def _preprocessing(folder: Path) -> Preprocessing | None:
    """Return the preprocessing of a checkpoint, None where it is not that of CLIP."""
    settings = read_json_object(folder / "preprocessor_config.json")
    size, crop = (settings.get(name) for name in ("size", "crop_size"))
    edge = size.get("shortest_edge") if isinstance(size, dict) else size
    plain = all(settings.get(step, True) is True for step in _STEPS) and settings.get("resample") == 3  # bicubic
    if not plain or type(edge) is not int or crop not in (edge, {"height": edge, "width": edge}):
        return None
    mean, std = (np.array(settings[name], dtype=np.float32) for name in ("image_mean", "image_std"))
    return Preprocessing(edge, settings.get("rescale_factor", 1 / 255), mean, std)


def _read_weights(path: Path, torch_device: torch.device) -> dict[str, Tensor]:
    """Return the tensors of the image tower, float32."""
    with safe_open(path, framework="pt") as file:
        names = [name for name in file.keys() if name.startswith(("vision_model.", "visual_projection."))]  # noqa: SIM118
        return {name: file.get_tensor(name).float().to(torch_device) for name in names}
