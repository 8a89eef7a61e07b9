"""Train a tiny CLIP on stills of the sample's things, and save it as an ordinary Hugging Face checkpoint.

Run as `python -m sample.clip`; reads nothing, writes sample/data/clip/. The captions say what a still can show, never
how a thing moves. The files are the same bytes in every run on machines of one kind.
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

from mocliplite.errors import run
from mocliplite.runtime.progress import progress_range
from sample import scene

FOLDER = Path("sample/data/clip")
STILLS = 3000
STEPS = 300
BATCH = 64
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 0.1
SEED = 202

IMAGE = 64  # pixels; with few and large patches the tower is quick on a laptop
PATCH = 16
WIDTH = 96  # of both towers
EMBEDDING = 64
LENGTH = 77  # tokens at most, as in CLIP

SIZES = ("small", "big")
TEMPLATES = (
    "{thing}",
    "a photo of a {thing}",
    "a picture of the {thing}.",
    "a {thing} {place}",
    "a photo of a {thing} {place}.",
    "a {size} {thing}",
    "a photo of a {size} {thing} {place}",
)


def main(stills: int = STILLS, steps: int = STEPS, folder: Path = FOLDER) -> None:
    torch.use_deterministic_algorithms(True)
    # One thread: sums over more round otherwise, and threads that wait for one another crawl on a busy machine.
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    logging.disable_progress_bar()  # a bar for one file that is written at once
    tokenizer, processor = build_tokenizer(), build_processor()
    model = CLIPModel(build_config(tokenizer))
    pixels, captions = draw_stills(stills, processor)
    train(model, tokenizer, pixels, captions, steps)
    save(folder, model, tokenizer, processor)


def draw_stills(count: int, processor: CLIPImageProcessorPil) -> tuple[torch.Tensor, list[str]]:
    """Prepared pixels, float32 [count, 3, IMAGE, IMAGE], and a caption for each."""
    pixels, captions = [], []
    for index in progress_range("clip: stills", count, "still"):
        rng = np.random.default_rng([SEED, index])
        thing = scene.THINGS[index % len(scene.THINGS)]
        look, pose = scene.draw_look(thing, rng), scene.draw_pose(rng)
        # JPEG spoils a picture much as the clips' codec does.
        packed = io.BytesIO()
        Image.fromarray(scene.render(look, pose, (0, 0), rng)).save(packed, "jpeg", quality=int(rng.integers(50, 95)))
        pixels.append(processor(Image.open(packed), return_tensors="pt").pixel_values[0])
        captions.append(write_caption(thing, look.place, pose.reach, rng))
    return torch.stack(pixels), captions


def write_caption(thing: str, place: str, reach: float, rng: np.random.Generator) -> str:
    """What a still shows."""
    template = TEMPLATES[rng.integers(len(TEMPLATES))]
    return template.format(thing=thing, place=place, size=SIZES[reach > scene.MEAN_REACH])


def add_noise(caption: str, rng: np.random.Generator) -> str:
    """The caption, often with words that mean nothing before or after it.

    Without them the text tower would be thrown off by words that it has never met, such as "spinning".
    """
    words = ["".join(chr(97 + letter) for letter in rng.integers(26, size=rng.integers(2, 8))) for _ in range(4)]
    before, after = rng.integers(3, size=2)
    return " ".join([*words[:before], caption, *words[2 : 2 + after]])


def train(model: CLIPModel, tokenizer: CLIPTokenizer, pixels: torch.Tensor, captions: list[str], steps: int) -> None:
    """Fit model in place: images pixels[i], float32 [N, 3, IMAGE, IMAGE], to captions[i]."""
    rng = np.random.default_rng(SEED)
    noisy = [add_noise(caption, rng) for caption in captions]
    tokens = tokenizer(noisy, padding=True, return_tensors="pt").input_ids
    numbers = {caption: number for number, caption in enumerate(sorted(set(captions)))}
    kinds = torch.tensor([numbers[caption] for caption in captions])
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps)
    model.train()
    for _ in progress_range("clip: training", steps, "step"):
        rows = torch.randint(len(pixels), (BATCH,))
        batch = torch.where(torch.rand(BATCH, 1, 1, 1) < 0.5, pixels[rows], pixels[rows].flip(-1))
        logits = model(input_ids=tokens[rows], pixel_values=batch).logits_per_image
        optimizer.zero_grad()
        torch.autograd.backward(contrastive_loss(logits, kinds[rows]))
        optimizer.step()
        schedule.step()
    model.eval()


def contrastive_loss(logits: torch.Tensor, kinds: torch.Tensor) -> torch.Tensor:
    """CLIP's loss on float32 [B, B], images x captions; captions of the same kind, int64 [B], are equally right."""
    same = (kinds[:, None] == kinds[None, :]).float()
    target = same / same.sum(dim=1, keepdim=True)
    return (nn.functional.cross_entropy(logits, target) + nn.functional.cross_entropy(logits.T, target)) / 2


def build_tokenizer() -> CLIPTokenizer:
    """CLIP's byte-level BPE with a few whole words; any other word falls into its letters."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = letters + [f"{letter}</w>" for letter in letters]
    merges: list[tuple[str, str]] = []
    for word in known_words():
        start, *rest = [*word[:-1], f"{word[-1]}</w>"]
        for letter in rest:
            if (start, letter) not in merges:
                merges.append((start, letter))
                tokens.append(start + letter)
            start += letter
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer({token: number for number, token in enumerate(tokens)}, merges, model_max_length=LENGTH)


def known_words() -> list[str]:
    """The words of all captions, sorted."""
    things, places, sizes = (" ".join(words) for words in (scene.THINGS, scene.PLACES, SIZES))
    captions = " ".join(TEMPLATES).format(thing=things, place=places, size=sizes)
    return sorted({*captions.replace(".", "").split()})


def build_processor() -> CLIPImageProcessorPil:
    """Shortest edge to IMAGE, then the central square, as for the real CLIP."""
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
        "max_position_embeddings": LENGTH,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    vision = {"image_size": IMAGE, "patch_size": PATCH}
    return CLIPConfig(text_config=tower | text, vision_config=tower | vision, projection_dim=EMBEDDING)


def save(folder: Path, model: CLIPModel, tokenizer: CLIPTokenizer, processor: CLIPImageProcessorPil) -> None:
    """Write the checkpoint file by file, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".clip.", dir=folder.parent) as partial:
        model.save_pretrained(partial)
        tokenizer.save_pretrained(partial)
        tokenizer.backend_tokenizer.model.save(partial)
        processor.save_pretrained(partial)
        for file in sorted(Path(partial).iterdir()):
            file.replace(folder / file.name)


if __name__ == "__main__":
    run(main)
