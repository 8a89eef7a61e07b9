"""What `encoder.dtype: bfloat16` costs in accuracy and saves in time, on real clips.

Run as `python -m benchmarks.bfloat16`. Embeds the centre frame of each clip with EfficientNet-Lite0 (ImageNet weights)
and with a CLIP ViT-B/32 of random weights, in float32 and in bfloat16: cosines of the two embeddings, top-1 of a ridge
regression that leaves out one group at a time, and processor time per image with one thread. The last line is JSON.
"""

import json
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

from benchmarks import efficientnet_lite
from benchmarks.real_pairs import DATA_SETS
from mocliplite.encoders import embedding, linear, loading
from mocliplite.fusion import ridge
from mocliplite.video.keyframes import read_keyframes

FOOTAGE = Path(__file__).parents[2] / "shared/data"
ALPHA = 100.0  # penalty of the ridge regression
Embed = Callable[[Sequence[np.ndarray]], np.ndarray]


def efficientnet(dtype: str) -> Embed:
    """Return the function from images to embeddings of EfficientNet-Lite0."""
    net = efficientnet_lite.load()

    def embed(images: Sequence[np.ndarray]) -> np.ndarray:
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"):
            batches = [images[start : start + 8] for start in range(0, len(images), 8)]
            return np.concatenate([efficientnet_lite.embed(net, batch) for batch in batches])

    return embed


def random_clip(dtype: str) -> Embed:
    """Return the function from images to embeddings of a CLIP ViT-B/32 with random weights."""
    torch.manual_seed(0)
    model = CLIPModel(CLIPConfig()).eval()
    if dtype == "float32":
        linear.use_onednn(model)
    encoder = loading.Encoder("clip", model, CLIPImageProcessorPil(), None, "", dtype)
    return lambda images: np.stack(list(embedding.embed_images(encoder, images, 8)))


def top1(rows: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> float:
    """Return the accuracy of ridge regressions that leave out one group each."""
    right = 0
    for group in np.unique(groups):
        test = groups == group
        scores = ridge.scores_of((rows[~test], labels[~test]), int(labels.max()) + 1, ALPHA, rows[test])
        right += int((scores.argmax(axis=1) == labels[test]).sum())
    return right / len(labels)


def main() -> None:
    """Print a line for each data set and encoder."""
    torch.set_num_threads(1)
    loading.allow_bfloat16()
    encoders = {"EfficientNet-Lite0": efficientnet, "CLIP ViT-B/32, random": random_clip}
    results = {}
    for name, data_set in DATA_SETS.items():
        paths = sorted((FOOTAGE / name).rglob("*.avi"))
        if not paths:
            sys.exit(f"real footage is not at {FOOTAGE / name}")
        images = [read_keyframes(path, 1, "middle")[0].image for path in paths]
        _, labels = np.unique([path.parent.name for path in paths], return_inverse=True)
        groups = np.array([re.search(data_set.group, str(path))[1] for path in paths])  # type: ignore[index]
        for encoder, make in encoders.items():
            rows, milliseconds = {}, {}
            for dtype in ("float32", "bfloat16"):
                embed = make(dtype)
                start = time.process_time()
                rows[dtype] = embed(images).astype(np.float32)
                milliseconds[dtype] = 1000 * (time.process_time() - start) / len(images)
            cosines = (embedding.unit(rows["float32"]) * embedding.unit(rows["bfloat16"])).sum(axis=1)
            found = {f"top1 {dtype}": top1(values, labels, groups) for dtype, values in rows.items()}
            found |= {f"ms {dtype}": value for dtype, value in milliseconds.items()}
            found |= {"cosine mean": float(cosines.mean()), "cosine min": float(cosines.min())}
            results[f"{name}, {encoder}"] = {key: round(value, 5) for key, value in found.items()}
            print(f"{name}, {encoder}:", ", ".join(f"{key} {value:.5g}" for key, value in found.items()))
    print(json.dumps(results))


if __name__ == "__main__":
    main()
