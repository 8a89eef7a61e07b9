"""EfficientNet-B0 from transformers: the backbone of the paper's motion network.

transformers is imported only where a network is built: the import takes seconds.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from mocliplite import hub
from mocliplite.encoders.checkpoints import refuse_redirections, weight_files
from mocliplite.errors import UserError, reading, refuse_special

DIM = 1280  # length of the pooled output
STEM = "embeddings.convolution.weight"
_FILES = ("config.json", "*.safetensors", "*.safetensors.index.json")  # of a hub id


def efficientnet_b0(channels: int) -> nn.Module:
    """Return an EfficientNet-B0 with random weights.

    Input float32 [N, channels, height, width]; `pooler_output` of its result is float32 [N, DIM].
    """
    from transformers import EfficientNetConfig, EfficientNetModel

    config = EfficientNetConfig(
        width_coefficient=1.0,
        depth_coefficient=1.0,
        image_size=224,
        hidden_dim=DIM,
        num_channels=channels,
        drop_connect_rate=0.0,
        # The default of transformers, 0.99, follows TensorFlow's definition of momentum. In torch it would mean that
        # each batch replaces the running statistics.
        batch_norm_momentum=0.1,
    )
    backbone: nn.Module = EfficientNetModel(config)
    # transformers initialises BatchNorm weights near 0, since a checkpoint replaces them. Training from there fails.
    for layer in backbone.modules():
        if isinstance(layer, nn.Conv2d | nn.BatchNorm2d):
            layer.reset_parameters()
    return backbone


def load_pretrained(backbone: nn.Module, pretrained: str, revision: str | None) -> None:
    """Load the weights of a hub id or a local folder; those of the stem are averaged over the colour channels.

    Raises UserError where they cannot be loaded or belong to another network.
    """
    from transformers import EfficientNetModel

    try:
        with reading(pretrained):
            folder = _folder(pretrained, revision)
            for path in folder.iterdir():
                refuse_special(path)
            refuse_redirections(folder)
            weight_files(folder)  # refuses an index that names other files than those of the folder
            source = EfficientNetModel.from_pretrained(folder, use_safetensors=True, local_files_only=True)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"params.yaml: motion_net.pretrained is {pretrained!r}, from which no EfficientNet can be loaded "
            f"({reason}); give a hub id, a folder, or null."
        ) from None
    weights: dict[str, Tensor] = source.state_dict()
    expected = backbone.state_dict()
    weights[STEM] = weights[STEM].mean(dim=1, keepdim=True).expand(-1, expected[STEM].shape[1], -1, -1)
    if _shapes(weights) != _shapes(expected):
        raise UserError(
            f"params.yaml: motion_net.pretrained is {pretrained!r}, which is not an EfficientNet-B0; "
            "use google/efficientnet-b0 or null."
        )
    backbone.load_state_dict(weights)


def _folder(pretrained: str, revision: str | None) -> Path:
    """Return a local folder, or that of a hub id in the local cache, downloaded if it is not there.

    Raises OSError where there is none. transformers could download, too, but the files are checked before it reads any.
    """
    if Path(pretrained).is_dir():
        return Path(pretrained)
    if not hub.is_name(pretrained):
        raise OSError("it is neither a folder nor a hub id")
    found = hub.cached(pretrained, revision)
    if found is not None and (found / "config.json").is_file() and _has_safetensors(found):
        return found
    try:
        found = hub.download(pretrained, revision, _FILES)
    except hub.NotOnHubError:
        raise OSError(f"the hub has no such model at this revision, or not for you; {hub.CHECK_LOGIN}") from None
    if found is None:
        raise OSError("it is not in the local hub cache, and cannot be downloaded")
    return found


def _has_safetensors(folder: Path) -> bool:
    try:
        return any(path.suffix == ".safetensors" for path in weight_files(folder))
    except UserError:
        return False


def _shapes(weights: dict[str, Tensor]) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in weights.items()}
