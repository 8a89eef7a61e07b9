"""The keyframe stage: the share of its time that CLIP's forward passes take, with ViT-B/32 and random weights.

The rest is waiting for pictures, preparing them, and writing. Prints one line; the last line is JSON.
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
from mocliplite.data.clips import find_clips, write_clips
from mocliplite.encoders import clip
from stages import keyframes as stage

FOOTAGE = Path(__file__).parents[2] / "shared/data/ut_interaction"
UCF101_CLIPS = 13_320


def checkpoint(folder: Path) -> None:
    """A ViT-B/32 with random weights, in the hub's format."""
    torch.manual_seed(0)
    CLIPModel(CLIPConfig()).save_pretrained(folder)
    CLIPImageProcessorPil().save_pretrained(folder)


def main() -> None:
    """Run the stage on all of UT-Interaction, and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokenizer", type=Path, default=Path("sample/data/clip"), help="where tokenizer files lie")
    given = parser.parse_args()
    sys.argv = sys.argv[:1]  # the stage reads its own
    settings = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    spent = 0.0
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder, "clip")
        checkpoint(model)
        for file in given.tokenizer.glob("*token*"):
            (model / file.name).write_bytes(file.read_bytes())
        settings["dataset"].update(root=str(FOOTAGE), lists=params.NO_PATH, group=None)
        settings["clip"].update(model=str(model), files=str(model), revision=None, batch=8)
        forward = CLIPModel.get_image_features

        def timed(*arguments: Any, **named: Any) -> Any:
            nonlocal spent
            start = time.perf_counter()
            answer = forward(*arguments, **named)
            spent += time.perf_counter() - start
            return answer

        CLIPModel.get_image_features = timed
        with contextlib.chdir(folder):
            Path("params.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
            clips = find_clips(params.load().dataset)
            write_clips("features/clips.csv", clips)
            load = clip.load_clip
            began: list[float] = []

            def loaded(*arguments: Any) -> clip.Clip:
                answer = load(*arguments)
                began.append(time.perf_counter())
                return answer

            clip.load_clip = loaded
            stage.main()
            wall = time.perf_counter() - began[0]
    hours = UCF101_CLIPS * wall / len(clips) / 3600
    print(f"{len(clips)} clips in {wall:.1f} s from the loaded model on, {spent / wall:.0%} of it in CLIP's forward")
    print(f"UCF101's {UCF101_CLIPS} clips at that rate: {hours:.1f} hours")
    print(json.dumps({"forward_share": round(spent / wall, 3), "clips_per_second": round(len(clips) / wall, 2)}))


if __name__ == "__main__":
    main()
