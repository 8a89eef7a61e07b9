"""Speed of the keyframe stage against the time that it cannot avoid, with a CLIP ViT-B/32 of random weights.

encoder    forward passes over all images, which are in memory
decoding   decoding and resizing of all keyframes, by the stage's processes and threads, without the encoder
stage      the whole stage after the encoder is loaded

Run as `python -m benchmarks.keyframes`. The three alternate, and the fastest round of each counts. The stage does all
of the work of both others, on the same cores: its goal is 1.15 times their sum. Every other clip of each data set is
used. The last line is JSON.
"""

import argparse
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import yaml
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

from mocliplite import params
from mocliplite.data.clips import Clip
from mocliplite.data.index import find_clips
from mocliplite.encoders import embedding, loading
from mocliplite.errors import Failure
from mocliplite.runtime import crash_safe, engines
from mocliplite.runtime.arguments import WHOLE, Arguments
from mocliplite.video.keyframes import read_keyframes
from mocliplite.video.streams import Limits
from stages import keyframes as stage

FOOTAGE = Path(__file__).parents[2] / "shared/data"
DATA_SETS = ("ut_interaction", "ucf101_six")
UCF101_CLIPS = 13_320


def checkpoint(folder: Path, tokenizer: Path) -> None:
    """Write a CLIP checkpoint with ViT-B/32, random weights, and the tokenizer of another checkpoint."""
    torch.manual_seed(0)
    CLIPModel(CLIPConfig()).save_pretrained(folder)
    CLIPImageProcessorPil().save_pretrained(folder)
    for file in tokenizer.glob("*token*"):
        (folder / file.name).write_bytes(file.read_bytes())


def project(root: Path, model: Path, dtype: str) -> params.Params:
    """Return the settings of the project for these clips and this checkpoint."""
    settings = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    settings["dataset"].update(root=str(root), files=str(root), lists=params.NO_PATH, group=None)
    settings["encoder"].update(model=str(model), files=str(model), revision=None, batch=8, dtype=dtype)
    return params.parse(yaml.safe_dump(settings))


def prepared(settings: params.Params, clips: dict[str, Clip], encoder: loading.Encoder) -> list[embedding.Pixels]:
    """Decode and resize the keyframes of all clips as the stage does."""
    decode = crash_safe.crash_safe(read_keyframes, settings.compute)
    limits = Limits.of(settings.compute)

    def pixels(clip: Clip) -> embedding.Pixels:
        found = decode(f"{settings.dataset.root}/{clip.path}", 1, "middle", limits)
        if isinstance(found, Failure):
            sys.exit(found.reason)
        return embedding.preprocess(encoder, found[0].image)

    return list(engines.map_ahead(pixels, clips.values(), settings.compute.workers))


def run_stage(settings: params.Params, clips: dict[str, Clip]) -> None:
    """Embed the keyframes of all clips into a new store."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        stage.embed_keyframes(settings, clips, Arguments(retry_failed=False, part=WHOLE))


def compare(settings: params.Params, clips: dict[str, Clip], encoder: loading.Encoder, rounds: int) -> dict[str, float]:
    """Return the seconds of each part, the fastest of a few rounds."""
    images = prepared(settings, clips, encoder)
    parts: dict[str, Callable[[], Any]] = {
        "encoder": lambda: list(embedding.embed_pixels(encoder, images, settings.encoder.batch)),
        "decoding": lambda: prepared(settings, clips, encoder),
        "stage": lambda: run_stage(settings, clips),
    }
    seconds: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(rounds):
        for name, work in parts.items():
            start = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - start)
    return {name: min(values) for name, values in seconds.items()}


def main() -> None:
    """Print a line for each data set that is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--tokenizer", type=Path, default=Path("sample/data/clip"), help="folder with the files of a tokenizer"
    )
    parser.add_argument("--dtype", default="float32", help="as encoder.dtype")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    ratios = {}
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder)
        checkpoint(model, given.tokenizer)
        for name in DATA_SETS:
            settings = project(FOOTAGE / name, model, given.dtype)
            clips = {clip.id: clip for clip in find_clips(settings.dataset)[::2]}
            encoder = loading.load_encoder(model, settings.compute, given.dtype)
            loading.load_encoder = lambda *_, encoder=encoder: encoder  # the stage loads nothing
            seconds = compare(settings, clips, encoder, given.rounds)
            ratio = seconds["stage"] / (seconds["encoder"] + seconds["decoding"])
            rate = len(clips) / seconds["stage"]
            text = ", ".join(f"{part} {value:.1f} s" for part, value in seconds.items())
            print(f"{name}, {len(clips)} clips, {given.dtype}: {text}: {ratio:.2f} times encoder and decoding")
            print(f"{rate:.1f} clips per second; UCF101's {UCF101_CLIPS}: {UCF101_CLIPS / rate / 60:.0f} minutes")
            ratios[name] = {"ratio": round(ratio, 3), "clips_per_second": round(rate, 1)}
    print(json.dumps(ratios))


if __name__ == "__main__":
    main()
