"""Speed of the keyframe stage, and the share of its time in CLIP's forward passes (ViT-B/32, random weights).

The other time is for decoding, preprocessing and writing. The last line is JSON.
"""

import argparse
import contextlib
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import yaml
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

from mocliplite import params
from mocliplite.data.clips import write_clips
from mocliplite.data.index import find_clips
from mocliplite.encoders import loading
from stages import keyframes as stage

FOOTAGE = Path(__file__).parents[2] / "shared/data/ut_interaction"
UCF101_CLIPS = 13_320


def checkpoint(folder: Path) -> None:
    """Write a CLIP checkpoint with ViT-B/32 and random weights."""
    torch.manual_seed(0)
    CLIPModel(CLIPConfig()).save_pretrained(folder)
    CLIPImageProcessorPil().save_pretrained(folder)


def main() -> None:
    """Run the stage on all clips of UT-Interaction and print its speed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--tokenizer", type=Path, default=Path("sample/data/clip"), help="folder with the files of a tokenizer"
    )
    given = parser.parse_args()
    sys.argv = sys.argv[:1]  # the stage parses the command line too
    settings = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    forward_seconds = 0.0
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder, "clip")
        checkpoint(model)
        for file in given.tokenizer.glob("*token*"):
            (model / file.name).write_bytes(file.read_bytes())
        settings["dataset"].update(root=str(FOOTAGE), files=str(FOOTAGE), lists=params.NO_PATH, group=None)
        settings["encoder"].update(model=str(model), files=str(model), revision=None, batch=8)
        forward = CLIPModel.get_image_features

        def timed(*arguments: Any, **named: Any) -> Any:
            nonlocal forward_seconds
            start = time.perf_counter()
            result = forward(*arguments, **named)
            forward_seconds += time.perf_counter() - start
            return result

        CLIPModel.get_image_features = timed
        with contextlib.chdir(folder):
            Path("params.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
            clips = find_clips(params.load().dataset)
            write_clips("features/clips.csv", clips)
            load = loading.load_encoder
            loaded_at: list[float] = []

            def timed_load(*arguments: Any) -> loading.Encoder:
                model = load(*arguments)
                loaded_at.append(time.perf_counter())
                return model

            loading.load_encoder = timed_load
            stage.main()
            wall = time.perf_counter() - loaded_at[0]
    hours = UCF101_CLIPS * wall / len(clips) / 3600
    share = forward_seconds / wall
    print(f"{len(clips)} clips in {wall:.1f} s after loading the model, {share:.0%} of it in CLIP's forward passes")
    print(f"UCF101's {UCF101_CLIPS} clips at that rate: {hours:.1f} hours")
    print(json.dumps({"forward_share": round(share, 3), "clips_per_second": round(len(clips) / wall, 2)}))


if __name__ == "__main__":
    main()
