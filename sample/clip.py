"""Train a small CLIP on still images of the sample's objects, and save it as a Hugging Face checkpoint.

Run as `python -m sample.clip`; reads nothing, writes sample/data/clip/. The captions describe what is visible in a
still image; they never mention a motion. On one type of processor, every run writes the same bytes.
"""

import io
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tokenizers import pre_tokenizers
from torch import nn
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPTokenizer
from transformers.utils import logging

from mocliplite.runtime.progress import progress_range
from sample import scene
from stages import run_stage

FOLDER = Path("sample/data/clip")
STILLS = 3000
STEPS = 300
BATCH = 64
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 0.1
SEED = 202

IMAGE = 64  # pixels; few and large patches keep the image tower fast on a laptop
PATCH = 16
WIDTH = 96  # of both towers
EMBEDDING = 64
MAX_TOKENS = 77  # as in CLIP

SIZES = ("small", "big")
TEMPLATES = (
    "{object}",
    "a photo of a {object}",
    "a picture of the {object}.",
    "a {object} {location}",
    "a photo of a {object} {location}.",
    "a {size} {object}",
    "a photo of a {size} {object} {location}",
)


def main(stills: int = STILLS, steps: int = STEPS, folder: Path = FOLDER) -> None:
    torch.use_deterministic_algorithms(True)
    # One thread: the number of threads changes the rounding of sums, and several are slow on a busy machine.
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    logging.disable_progress_bar()  # of save_pretrained, for a single small file
    tokenizer, processor = build_tokenizer(), build_processor()
    model = CLIPModel(build_config(tokenizer))
    pixels, captions = render_stills(stills, processor)
    train(model, tokenizer, pixels, captions, steps)
    save(folder, model, tokenizer, processor)


def render_stills(count: int, processor: CLIPImageProcessorPil) -> tuple[torch.Tensor, list[str]]:
    """Return preprocessed pixels, float32 [count, 3, IMAGE, IMAGE], and a caption for each."""
    pixels, captions = [], []
    for index in progress_range("clip: stills", count, "still"):
        rng = np.random.default_rng([SEED, index])
        object_name = scene.OBJECTS[index % len(scene.OBJECTS)]
        appearance, pose = scene.random_appearance(object_name, rng), scene.random_pose(rng)
        image = Image.fromarray(scene.render(appearance, pose, (0, 0), rng))
        # The artefacts of JPEG resemble those of the clips' codec.
        jpeg = io.BytesIO()
        image.save(jpeg, "jpeg", quality=int(rng.integers(50, 95)))
        pixels.append(processor(Image.open(jpeg), return_tensors="pt").pixel_values[0])
        captions.append(random_caption(object_name, appearance.location, pose.radius, rng))
    return torch.stack(pixels), captions


def random_caption(object_name: str, location: str, radius: float, rng: np.random.Generator) -> str:
    """Return a description of a still image, from a random template."""
    template = TEMPLATES[rng.integers(len(TEMPLATES))]
    return template.format(object=object_name, location=location, size=SIZES[radius > scene.MEAN_RADIUS])


def add_noise(caption: str, rng: np.random.Generator) -> str:
    """Return the caption, in most cases with random words before or after it.

    They make the text tower robust to words that are not in its training set, such as "spinning".
    """
    words = ["".join(chr(97 + letter) for letter in rng.integers(26, size=rng.integers(2, 8))) for _ in range(4)]
    before, after = rng.integers(3, size=2)
    return " ".join([*words[:before], caption, *words[2 : 2 + after]])


def train(model: CLIPModel, tokenizer: CLIPTokenizer, pixels: torch.Tensor, captions: list[str], steps: int) -> None:
    """Train model in place on pairs of pixels[i], float32 [N, 3, IMAGE, IMAGE], and captions[i]."""
    rng = np.random.default_rng(SEED)
    noisy = [add_noise(caption, rng) for caption in captions]
    tokens = tokenizer(noisy, padding=True, return_tensors="pt").input_ids
    ids = {caption: index for index, caption in enumerate(sorted(set(captions)))}
    caption_ids = torch.tensor([ids[caption] for caption in captions])
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps)
    model.train()
    for _ in progress_range("clip: training", steps, "step"):
        rows = torch.randint(len(pixels), (BATCH,))
        batch = torch.where(torch.rand(BATCH, 1, 1, 1) < 0.5, pixels[rows], pixels[rows].flip(-1))
        logits = similarity(model, tokens[rows], batch)
        optimizer.zero_grad()
        torch.autograd.backward(contrastive_loss(logits, caption_ids[rows]))
        optimizer.step()
        schedule.step()
    model.eval()


def similarity(model: CLIPModel, tokens: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
    """Return logits_per_image of a CLIP, float32 [B, B].

    CLIPModel.forward uses torch.sqrt, whose last bits differ between makers of processors.
    """
    images = model.get_image_features(pixel_values=pixels).pooler_output
    texts = model.get_text_features(input_ids=tokens).pooler_output
    images, texts = (nn.functional.normalize(rows, dim=-1) for rows in (images, texts))
    logits: torch.Tensor = images @ texts.T * model.logit_scale.exp()
    return logits


def contrastive_loss(logits: torch.Tensor, caption_ids: torch.Tensor) -> torch.Tensor:
    """Return CLIP's loss for logits float32 [B, B], images x captions.

    caption_ids is int64 [B]; an image matches all captions with the id of its own caption equally.
    """
    same = (caption_ids[:, None] == caption_ids[None, :]).float()
    target = same / same.sum(dim=1, keepdim=True)
    return (nn.functional.cross_entropy(logits, target) + nn.functional.cross_entropy(logits.T, target)) / 2


def build_tokenizer() -> CLIPTokenizer:
    """Return CLIP's byte-level BPE tokenizer with the words of the captions; other words are split into letters."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = letters + [f"{letter}</w>" for letter in letters]
    merges: list[tuple[str, str]] = []
    for word in caption_words():
        prefix, *rest = [*word[:-1], f"{word[-1]}</w>"]
        for letter in rest:
            if (prefix, letter) not in merges:
                merges.append((prefix, letter))
                tokens.append(prefix + letter)
            prefix += letter
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer({token: index for index, token in enumerate(tokens)}, merges, model_max_length=MAX_TOKENS)


def caption_words() -> list[str]:
    """Return the words of all captions, sorted."""
    objects, locations, sizes = (" ".join(words) for words in (scene.OBJECTS, scene.LOCATIONS, SIZES))
    captions = " ".join(TEMPLATES).format(object=objects, location=locations, size=sizes)
    return sorted({*captions.replace(".", "").split()})


def build_processor() -> CLIPImageProcessorPil:
    """Return a processor that resizes the shortest edge to IMAGE and takes the centre crop, as that of CLIP does."""
    return CLIPImageProcessorPil(size={"shortest_edge": IMAGE}, crop_size={"height": IMAGE, "width": IMAGE})


def build_config(tokenizer: CLIPTokenizer) -> CLIPConfig:
    tower = {
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "projection_dim": EMBEDDING,
    }
    text = {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": MAX_TOKENS,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    vision = {"image_size": IMAGE, "patch_size": PATCH}
    return CLIPConfig(text_config=tower | text, vision_config=tower | vision, projection_dim=EMBEDDING)


def save(folder: Path, model: CLIPModel, tokenizer: CLIPTokenizer, processor: CLIPImageProcessorPil) -> None:
    """Write the checkpoint into folder; each file is written to a temporary folder and renamed."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".clip.", dir=folder.parent) as partial:
        model.save_pretrained(partial)
        tokenizer.save_pretrained(partial)
        tokenizer.backend_tokenizer.model.save(partial)
        processor.save_pretrained(partial)
        for file in sorted(Path(partial).iterdir()):
            file.replace(folder / file.name)


if __name__ == "__main__":
    run_stage("clip", main, graph="sample/dvc.yaml")
