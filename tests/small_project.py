"""The whole pipeline in one process on a few rendered clips, with a random CLIP and networks as small as they get."""

import sys
from pathlib import Path

import torch
import yaml
from builders import CHECKOUT
from footage import encode, moving
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

from mocliplite import params
from sample.clip import build_tokenizer
from stages import (
    embed_motion,
    evaluate,
    index,
    keyframes,
    motion,
    pairs,
    prompts,
    split,
    train_head,
    train_motion,
    train_probes,
)

CLASSES = {"Falling": (0, 4), "Resting": (0, 0), "Rolling": (4, 0)}  # pixels per frame, right and down
CLIPS_PER_CLASS = 8
# Of the clips of a CSV file, by label: pixels per frame, right and down.
LABELS = {"Falling": (0, 4), "Falling|Rolling": (4, 4), "Rolling": (4, 0), "": (0, 0)}
STAGES = (
    index,
    split,
    motion,
    keyframes,
    prompts,
    train_motion,
    embed_motion,
    pairs,
    train_probes,
    train_head,
    evaluate,
)


def build(folder, monkeypatch, seed=0):
    """Render the clips into folder/clips, write params.yaml, and run all stages there.

    seed: that of the split, of CLIP's weights and of the motion network.
    """
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["stage"])
    for label, step in CLASSES.items():
        render(f"clips/{label}", step)
    save_clip("clip", seed)
    write_params(seed)
    for stage in STAGES:
        stage.main()
    return folder


def build_multi_label(folder, monkeypatch):
    """As build, with clips of two classes, of one and of none, which a CSV file lists."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["stage"])
    rows = ["path,label"]
    for number, (label, step) in enumerate(LABELS.items()):
        rows += [f"{number}/{clip}.avi,{label}" for clip in range(CLIPS_PER_CLASS)]
        render(f"clips/{number}", step)
    Path("list.csv").write_text("\n".join(rows))
    save_clip("clip")
    write_params(lists="list.csv", multi_label=True)
    for stage in STAGES:
        stage.main()
    return folder


def render(folder, step):
    """Write clips that move by this many pixels per frame, right and down."""
    Path(folder).mkdir(parents=True)
    for number in range(CLIPS_PER_CLASS):
        frames = moving(*step, frames=8 + number, size=(96, 128 + 16 * (number % 2)))
        encode(f"{folder}/{number}.avi", frames)


def save_clip(folder, seed=0):
    """Save a checkpoint in CLIP's format with random weights."""
    torch.manual_seed(seed)
    tower = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    tokenizer = build_tokenizer()
    ids = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    text = {"vocab_size": len(tokenizer), **ids, **tower}
    vision = {"image_size": 32, "patch_size": 16, **tower}
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)).save_pretrained(folder)
    size = {"height": 32, "width": 32}
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=size).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def write_params(seed=0, **dataset):
    """Write params.yaml for the clips, with the smallest networks and shortest trainings."""
    given = yaml.safe_load((CHECKOUT / "params.yaml").read_text(encoding="utf-8"))
    given["dataset"] |= {
        "root": "clips",
        "files": "clips",
        "lists": params.NO_PATH,
        "group": None,
        "folds": None,
        "test": 0.25,
        "val": 0.25,
        "seed": seed,
        **dataset,
    }
    given["encoder"] |= {"model": "clip", "files": "clip", "names": str(CHECKOUT / given["encoder"]["names"])}
    given["encoder"]["prompts"] = str(CHECKOUT / given["encoder"]["prompts"])
    # The whole picture moves in these clips.
    given["motion_net"]["remove_global_motion"] = False
    given["motion_net"]["histogram"] = "directions"
    given["motion_net"] |= {
        "frames": 4,
        "segments": 4,
        "rows": 6,
        "cols": 8,
        "width": 6,
        "epochs": 2,
        "batch": 4,
        "seed": seed,
    }
    given["head"] |= {"hidden": 8, "epochs": 2, "seeds": 2, "batch": 8}
    given["compute"] |= {"engine": "inline", "device": "cpu", "threads": 1}
    Path("params.yaml").write_text(yaml.safe_dump(given))
