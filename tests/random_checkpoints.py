"""Checkpoints with random weights, as small as they get, of every family of encoders that is tried."""

from pathlib import Path

import torch
import transformers as hf

from sample.clip import build_tokenizer

SIZE = {"height": 32, "width": 32}
LETTERS = "abcdefghijklmnopqrstuvwxyz."
_TOWER = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
_VISION = {**_TOWER, "image_size": 32, "patch_size": 16}
_CONVOLUTIONS = {"hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1]}
_EFFICIENTNET = {"image_size": 32, "width_coefficient": 0.1, "depth_coefficient": 0.1, "hidden_dim": 128}
TEXT = ("clip", "siglip", "siglip2", "altclip", "metaclip_2", "chinese_clip", "align")
IMAGE = (
    *("dinov2", "dinov2_with_registers", "dinov3_vit", "dinov3_convnext", "vit", "deit", "beit", "swin", "convnext"),
    *("efficientnet", "resnet"),
)


def save_checkpoint(folder, family):
    """Save a model of the family with its preprocessing and tokenizer; return the folder."""
    torch.manual_seed(0)
    tokenizer = _tokenizer(family) if family in TEXT else None
    model = _text_model(family, tokenizer) if tokenizer else _image_model(family)
    with torch.no_grad():
        if family in ("align", "efficientnet"):
            _fit_normalisation(model.vision_model if family == "align" else model)
        # Biases, normalisations and SigLIP's and ALIGN's scales start at 0 and 1, which would hide errors.
        for value in model.parameters():
            if value.ndim <= 1:
                value.add_(torch.rand_like(value) * 0.2 + 0.1)
    model.save_pretrained(folder)
    save_processor(folder, family)
    if tokenizer:
        tokenizer.save_pretrained(folder)
    return Path(folder)


def save_processor(folder, family):
    """Save the preprocessing of a model of the family."""
    _processor(family).save_pretrained(folder)


def _fit_normalisation(network):
    """Set BatchNorm's statistics to those of noise: with random weights, all pictures would become the same."""
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d | torch.nn.Conv2d):
            layer.reset_parameters()
            layer.momentum = 1.0
    network.train()(pixel_values=torch.randn(8, 3, 32, 32))


def _tokenizer(family):
    if family in ("chinese_clip", "align"):
        pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *LETTERS, *(f"##{letter}" for letter in LETTERS)]
        return hf.BertTokenizer(vocab={piece: index for index, piece in enumerate(pieces)})
    if family in ("altclip", "metaclip_2"):
        pieces = ["<s>", "<pad>", "</s>", "<unk>", "▁a", "▁", *LETTERS, "<mask>"]
        return hf.XLMRobertaTokenizer(vocab=[(piece, -float(index)) for index, piece in enumerate(pieces)])
    return build_tokenizer()


def _text_model(family, tokenizer):
    text = {**_TOWER, "vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    ends = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id")}
    vision, more = _VISION, {"projection_dim": 8}
    if family.startswith("siglip"):
        text |= {**ends, "max_position_embeddings": 24, "projection_size": 16}
        more = {}
        if family == "siglip2":
            vision = {**_TOWER, "patch_size": 16, "num_patches": 4}
    elif family in ("chinese_clip", "align"):
        text |= {"max_position_embeddings": 20}
    else:
        text |= {**ends, "max_position_embeddings": 20 if family != "clip" else 77}
    if family == "altclip":
        text |= {"project_dim": 16}
    if family == "align":
        vision, more = _EFFICIENTNET, {"projection_dim": 32}
    name = {"clip": "CLIP", "siglip": "Siglip", "siglip2": "Siglip2", "altclip": "AltCLIP", "metaclip_2": "MetaClip2"}
    name |= {"chinese_clip": "ChineseCLIP", "align": "Align"}
    config = getattr(hf, f"{name[family]}Config")(text_config=text, vision_config=vision, **more)
    return getattr(hf, f"{name[family]}Model")(config)


def _image_model(family):
    dinov2 = {name: value for name, value in _VISION.items() if name != "intermediate_size"}
    swin = {"image_size": 32, "embed_dim": 8, "depths": [1, 1], "num_heads": [2, 2], "window_size": 2}
    resnet = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1]}
    # Two of them as classifiers, as many checkpoints are.
    return {
        "dinov2": lambda: hf.Dinov2Model(hf.Dinov2Config(**dinov2)),
        "dinov2_with_registers": lambda: hf.Dinov2WithRegistersModel(hf.Dinov2WithRegistersConfig(**dinov2)),
        "dinov3_vit": lambda: hf.DINOv3ViTModel(hf.DINOv3ViTConfig(**_VISION)),
        "dinov3_convnext": lambda: hf.DINOv3ConvNextModel(hf.DINOv3ConvNextConfig(**_CONVOLUTIONS)),
        "vit": lambda: hf.ViTForImageClassification(hf.ViTConfig(**_VISION)),
        "deit": lambda: hf.DeiTModel(hf.DeiTConfig(**_VISION)),
        "beit": lambda: hf.BeitModel(hf.BeitConfig(**_VISION)),
        "swin": lambda: hf.SwinModel(hf.SwinConfig(**swin)),
        "convnext": lambda: hf.ConvNextModel(hf.ConvNextConfig(**_CONVOLUTIONS)),
        "efficientnet": lambda: hf.EfficientNetModel(hf.EfficientNetConfig(**_EFFICIENTNET)),
        "resnet": lambda: hf.ResNetForImageClassification(hf.ResNetConfig(**resnet)),
    }[family]()


def _processor(family):
    if family in ("clip", "altclip", "metaclip_2"):
        return hf.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=SIZE)
    if family == "siglip2":
        return hf.Siglip2ImageProcessorPil(patch_size=16, max_num_patches=4)
    if family in ("dinov2", "dinov2_with_registers"):
        return hf.BitImageProcessorPil(size={"shortest_edge": 36}, crop_size=SIZE)
    if family in ("convnext", "resnet"):
        return hf.ConvNextImageProcessorPil(size={"shortest_edge": 32})
    by_family = {
        "siglip": hf.SiglipImageProcessorPil,
        "chinese_clip": hf.ChineseCLIPImageProcessorPil,
        "align": hf.EfficientNetImageProcessorPil,
        "efficientnet": hf.EfficientNetImageProcessorPil,
        "deit": hf.DeiTImageProcessorPil,
        "beit": hf.BeitImageProcessorPil,
    }
    crop = {"crop_size": SIZE} if family in ("deit", "beit", "chinese_clip") else {}
    return by_family.get(family, hf.ViTImageProcessorPil)(size=SIZE, **crop)
