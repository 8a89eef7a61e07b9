"""CPU seconds per image of image encoders: preprocessing and embedding, two threads, batches of 8.

Run as `python -m benchmarks.encoders`. The weights are random, which does not change the time. CPU time is that of both
threads, the fastest of five rounds in which the encoders take turns, so that other work on the machine matters little.
"""

import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import transformers as hf

from mocliplite.encoders import cost, embedding
from mocliplite.encoders.linear import use_onednn
from mocliplite.encoders.loading import Encoder

BATCH, ROUNDS, THREADS = 8, 5, 2
_SQUARE = {"height": 224, "width": 224}
_DINOV2 = {"patch_size": 14, "image_size": 518}
_CROP = {"size": {"shortest_edge": 256}, "crop_size": _SQUARE}
_SIGLIP = {"image_size": 224, "patch_size": 16}
# Configuration of the model, and its preprocessing.
ENCODERS = {
    "CLIP ViT-B/32": lambda: (hf.CLIPConfig(), hf.CLIPImageProcessorPil()),
    "SigLIP B/16, 224": lambda: (hf.SiglipConfig(vision_config=_SIGLIP), hf.SiglipImageProcessorPil()),
    "SigLIP 2 B/16, NaFlex": lambda: (hf.Siglip2Config(), hf.Siglip2ImageProcessorPil()),
    "DINOv2 ViT-S/14": lambda: (
        hf.Dinov2Config(hidden_size=384, num_attention_heads=6, **_DINOV2),
        hf.BitImageProcessorPil(**_CROP),
    ),
    "DINOv2 ViT-B/14": lambda: (hf.Dinov2Config(**_DINOV2), hf.BitImageProcessorPil(**_CROP)),
}


def main() -> None:
    """Print parameters, multiply-accumulates and CPU seconds per image as a table, and as one line of JSON."""
    torch.set_num_threads(THREADS)
    images = [np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)] * BATCH
    encoders, costs = {}, {}
    for name, make in ENCODERS.items():
        config, processor = make()
        with tempfile.TemporaryDirectory() as folder:
            config.save_pretrained(folder)
            processor.save_pretrained(folder)
            costs[name] = cost.image_cost(Path(folder))
        model = hf.AutoModel.from_config(config).eval()
        use_onednn(model)
        encoders[name] = Encoder(config.model_type, model, processor, None, "")
    seconds: dict[str, list[float]] = {name: [] for name in encoders}
    for _ in range(ROUNDS + 1):  # the first round warms up
        for name, encoder in encoders.items():
            start = time.process_time()
            rows = np.stack(list(embedding.embed_images(encoder, images, BATCH)))
            seconds[name].append((time.process_time() - start) / BATCH)
            assert np.isfinite(rows).all()
    print(f"{'encoder':24} {'parameters':>12} {'GMACs':>7} {'CPU s/image':>12}")
    for name, times in seconds.items():
        parameters, macs = costs[name]["parameters"], costs[name]["macs"] / 1e9
        print(f"{name:24} {parameters:12,} {macs:7.1f} {min(times[1:]):12.3f}")
    print(json.dumps({name: round(min(times[1:]), 4) for name, times in seconds.items()}))


if __name__ == "__main__":
    main()
