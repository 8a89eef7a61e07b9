"""The cost of an image encoder: parameters, and multiply-accumulates (MACs) per image."""

from pathlib import Path

from mocliplite.encoders import loading
from mocliplite.encoders.checkpoints import family, read_json_object


def image_cost(folder: Path) -> dict[str, int]:
    """Return `parameters` and `macs` of the image tower of a checkpoint, from its configuration."""
    return _clip_cost(folder) if family(folder) == "clip" else _counted_cost(folder)


def _clip_cost(folder: Path) -> dict[str, int]:
    """In closed form, which imports nothing heavy."""
    vision = read_json_object(folder / "config.json").get("vision_config", {})
    width, layers = vision.get("hidden_size", 768), vision.get("num_hidden_layers", 12)
    inner, patch = vision.get("intermediate_size", 3072), vision.get("patch_size", 32)
    dim = read_json_object(folder / "config.json").get("projection_dim", 512)
    patches = (vision.get("image_size", 224) // patch) ** 2
    tokens = patches + 1
    layer = 4 * width * width + 2 * width * inner
    macs = patches * 3 * patch**2 * width + layers * (tokens * layer + 2 * tokens**2 * width) + width * dim
    biases = 4 * width + inner + width + 4 * width
    parameters = 3 * patch**2 * width + width + tokens * width + 4 * width + layers * (layer + biases) + width * dim
    return {"parameters": parameters, "macs": macs}


def _counted_cost(folder: Path) -> dict[str, int]:
    """By a forward pass of a model without values; the weights of the checkpoint are not read."""
    import torch
    from PIL import Image
    from torch.utils.flop_counter import FlopCounterMode
    from transformers import AutoConfig, AutoModel

    kind = family(folder)
    image = loading.load_processor(folder, kind)(images=[Image.new("RGB", (640, 480))], return_tensors="pt")
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    # The counter does not see the products in fused attention.
    options = {**loading.model_options(kind), "attn_implementation": "eager"}
    with torch.device("meta"):
        model = AutoModel.from_config(config, trust_remote_code=False, **options).eval()
    # A mask would be read, and changes no count. The grid of patches is read.
    inputs = {name: value if name == "spatial_shapes" else value.to("meta") for name, value in image.items()}
    inputs.pop("pixel_attention_mask", None)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        loading.image_features(model, kind, inputs)
    # No image goes through these.
    others = ("text_", "logit_", "temperature")
    counted = (value for name, value in model.named_parameters() if not name.startswith(others))
    return {"parameters": sum(value.numel() for value in counted), "macs": counter.get_total_flops() // 2}
