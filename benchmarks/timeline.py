"""Timeline of a long film joined from test clips, against the known spans; speed and peak memory by length.

Run `python -m benchmarks.timeline`. It trains the networks and heads of the first fold of ucf101_six, see
`benchmarks.real_pairs`, enlarges the test clips of the fold to 1280x720 in H.264 at 25 frames per second, and joins
them in random order to films of --minutes. `predict --window 2 --stride 0.5` of each film, with both streams and with
the motion network alone, runs in a process of its own, whose peak memory counts together with that of its decoder. The
networks run on one thread. What exists in the folder --work is not computed again.

The clips of the data set are MPEG-4 at 320x240, so the vectors of the films are of another kind than those of the
training clips. With --reencode, both are re-encoded as MPEG-4 at 320x240 before their vectors are read.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import torch
from av.container import OutputContainer
from av.video.stream import VideoStream

from benchmarks import efficientnet_lite, real_pairs
from mocliplite import checkpoint, files, params
from mocliplite.data.clips import class_names, read_clips
from mocliplite.data.splits import split_clips
from mocliplite.encoders.loading import Encoder
from mocliplite.fusion import methods
from mocliplite.fusion.head_training import fit_head
from mocliplite.fusion.pairs import select_clips
from mocliplite.fusion.probes import fit_probes
from mocliplite.motion_net import arithmetic, embedding, field_cache, loader, networks, training
from mocliplite.predict import timeline
from mocliplite.predict.recognizer import Recognizer
from mocliplite.predict.torch_models import networks_of
from mocliplite.store import stores, table_file

NAME, FOLD, WINDOW, STRIDE = "ucf101_six", 1, 2.0, 0.5
SIZE, RATE = (1280, 720), 25
REENCODE = real_pairs.REENCODE | {"size": [320, 240]}  # of the data set's clips, which are re-encoded at their own size


def main() -> None:
    given = _arguments()
    if given.film:
        print(json.dumps(_measure(_folder(given), given.film, given.motion_only, given.reencode)))
        return
    spans = _prepare(given)
    for minutes in given.minutes:
        for motion_only in (False, True):
            command = [
                sys.executable,
                "-m",
                "benchmarks.timeline",
                "--work",
                given.work,
                "--film",
                _film(given.work, minutes),
            ]
            command += ["--motion-only"] * motion_only + ["--reencode"] * given.reencode
            done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True)
            measured = json.loads(done.stdout.splitlines()[-1])
            found = [tuple(segment) for segment in measured.pop("segments")]
            scores = {"accuracy": frame_accuracy(spans[minutes], found), "f1": segment_f1(spans[minutes], found)}
            way = {"minutes": minutes, "motion_only": motion_only, "reencode": given.reencode}
            print(json.dumps(way | scores | measured), flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=real_pairs.ROOT.parent / "shared/data")
    parser.add_argument("--work", type=Path, default=real_pairs.ROOT / ".real")
    parser.add_argument("--minutes", type=float, nargs="+", default=[3, 30])
    parser.add_argument("--reencode", action="store_true", help="read the vectors of re-encoded clips and films")
    parser.add_argument("--film", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--motion-only", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


# Scores

Span = tuple[float, float, str]


def frame_accuracy(truth: Sequence[Span], found: Sequence[Span]) -> float:
    """Return the share of the film, by time, that has the right class."""
    right = sum(_overlap(one, other) for one in truth for other in found if one[2] == other[2])
    return right / sum(end - start for start, end, _ in truth)


def segment_f1(truth: Sequence[Span], found: Sequence[Span]) -> float:
    """Return the F1 of segments: one is right if it overlaps a true one of its class that no other one has, IoU 0.5."""
    free, right = list(truth), 0
    for segment in found:
        match = next((one for one in free if one[2] == segment[2] and _iou(one, segment) >= 0.5), None)
        if match is not None:
            free.remove(match)
            right += 1
    return 2 * right / (len(truth) + len(found))


def _overlap(one: Span, other: Span) -> float:
    return max(0.0, min(one[1], other[1]) - max(one[0], other[0]))


def _iou(one: Span, other: Span) -> float:
    overlap = _overlap(one, other)
    return overlap / (one[1] - one[0] + other[1] - other[0] - overlap)


# Models


def _folder(given: argparse.Namespace) -> Path:
    return given.work / NAME / "reencoded" if given.reencode else given.work / NAME


def _prepare(given: argparse.Namespace) -> dict[float, list[Span]]:
    """Train the models, write the films, and return the spans of each film."""
    work, folder = given.work, _folder(given)
    if not (folder / f"fold{FOLD}/F1/pairs.h5").is_file():
        real_pairs.prepare(given.root / NAME, work / NAME, NAME, given.reencode)
    settings, clips = params.load(folder / "params.yaml"), read_clips(folder / "features/clips.csv")
    split = split_clips(clips, replace(settings.dataset, split=FOLD))
    if not (folder / "timeline/head").is_dir():
        _train(folder, settings, {clip.id: clip.index for clip in clips}, split, class_names(clips))
    test = [clip for clip in clips if split[clip.id] == "test"]
    parts = [(_enlarged(work, f"{settings.dataset.root}/{clip.path}", clip.id), clip.label) for clip in test]
    return {length: _join(parts, _film(work, length), 60 * length) for length in given.minutes}


def _train(
    folder: Path, settings: params.Params, labels: dict[str, int], split: dict[str, str], classes: list[str]
) -> None:
    """Train the motion network of the fold, fit the heads, and write them to folder/timeline."""
    torch.set_num_threads(1)
    # With two threads, a step takes many times as long where other processes share the cores.
    arithmetic.THREADS = 1
    store, net_settings = stores.open_store(folder / "features/motion"), settings.motion_net
    arrays = dict(table_file.read_table(folder / f"fold{FOLD}/F1/pairs.h5", "pairs").arrays)
    ids = arrays["ids"].tolist()
    rows = {part: [row for row, name in enumerate(ids) if split[name] == part] for part in ("train", "val")}
    clips = field_cache.cache_fields(loader.MotionClips(store, ids, net_settings), folder, workers=0)
    data = training.TrainingData(
        clips, torch.tensor([labels[name] for name in ids]), rows["train"], rows["val"], len(classes)
    )
    with tempfile.TemporaryDirectory() as state:
        net, _, _ = training.fit_motion(data, net_settings, torch.device("cpu"), 0, Path(state, "resume"), "")
    arrays["motion"], logits = embedding.embed_clips(net, clips, net_settings, net_settings.views, 0)
    arrays["motion_logits"] = logits.mean(axis=1)
    train, val = (select_clips(arrays, arrays["split"] == part) for part in ("train", "val"))
    probes, alphas = fit_probes(train, val, settings.head.class_weight)
    heads: dict[str, np.ndarray] = {}
    for name in methods.STREAMS:
        heads |= fit_head(name, train, val, settings.head, torch.device("cpu"), alphas)[0]
    calibration = methods.fit_calibration(methods.all_logits(heads, probes, val), val["label"])
    weights = {name: value.numpy() for name, value in net.state_dict().items()}
    checkpoint.save(folder / "timeline/motion", weights, {})
    checkpoint.save(folder / "timeline/probes", probes, {})
    checkpoint.save(folder / "timeline/head", heads, {"classes": classes, "calibration": calibration})


def _recognizer(folder: Path, reencode: bool) -> Recognizer:
    arithmetic.THREADS = 1
    settings = params.load(folder / "params.yaml")
    (weights, _), (probes, _), (heads, config) = (
        checkpoint.load(folder / f"timeline/{name}") for name in ("motion", "probes", "head")
    )
    net = networks.build_network(settings.motion_net, len(config["classes"]))
    net.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    motion = stores.open_store(folder / "features/motion").settings | ({"reencode": REENCODE} if reencode else {})
    provenance = {
        "keyframes": {"frames": 1, "pick": "middle"},
        "motion_embeddings": {"motion": motion},
    }
    compute = replace(params.DEFAULT_COMPUTE, device="cpu", threads=1)
    fitted = (settings.motion_net, heads, probes, config["classes"], config["calibration"], provenance, compute)
    return Recognizer(networks_of(_encoder(), 8, net.eval(), settings.motion_net), *fitted)


def _encoder() -> Encoder:
    """Return EfficientNet-Lite0 as an encoder of the project, which loads checkpoints of transformers only."""
    net = efficientnet_lite.load()

    def embed(pixel_values: torch.Tensor) -> SimpleNamespace:
        return SimpleNamespace(pooler_output=net(pixel_values))

    def process(images: Sequence[Any], return_tensors: str) -> dict[str, np.ndarray]:
        return {"pixel_values": np.stack([efficientnet_lite.preprocess(np.asarray(image)) for image in images])}

    embed.device = torch.device("cpu")  # type: ignore[attr-defined]
    return Encoder("efficientnet_lite", embed, process, None, "")  # type: ignore[arg-type]


# Films


def _film(work: Path, minutes: float) -> Path:
    return work / NAME / f"timeline/{minutes:g}_minutes.mp4"


def _enlarged(work: Path, path: str, name: str) -> Path:
    """Write a clip at SIZE, and return its path."""
    new = work / NAME / f"timeline/clips/{name}.mp4"
    if new.is_file():
        return new
    new.parent.mkdir(parents=True, exist_ok=True)
    with (
        files.atomic_write(new) as partial,
        av.open(path) as source,
        av.open(str(partial), "w", format="mp4") as target,
    ):
        options = {"preset": "veryfast", "crf": "23", "x264-params": "open-gop=0"}
        stream = target.add_stream("libx264", rate=RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for number, frame in enumerate(source.decode(video=0)):
            picture = frame.reformat(*SIZE, format="yuv420p", interpolation="BICUBIC")
            picture.pts, picture.time_base = number, Fraction(1, RATE)
            target.mux(stream.encode(picture))
        target.mux(stream.encode())
    return new


def _join(parts: Sequence[tuple[Path, str]], film: Path, seconds: float) -> list[Span]:
    """Join clips in random order, each once before one occurs again, without re-encoding; return the spans."""
    spans: list[Span] = []
    with (
        av.open(str(parts[0][0])) as first,
        files.atomic_write(film) as partial,
        av.open(str(partial), "w", format="mp4") as target,
    ):
        stream = target.add_stream_from_template(first.streams.video[0])
        at = Fraction(0)
        for index in _order(len(parts)):
            path, label = parts[index]
            length = _append(target, stream, path, at)
            spans.append((float(at), float(at + length), label))
            at += length
            if at >= seconds:
                break
    return spans


def _order(count: int) -> Iterator[int]:
    generator = np.random.default_rng(0)
    while True:
        yield from generator.permutation(count).tolist()


def _append(target: OutputContainer, stream: VideoStream, path: Path, at: Fraction) -> Fraction:
    """Copy the packets of a clip to a film, from a time on; return the length of the clip in seconds."""
    with av.open(str(path)) as source:
        old = source.streams.video[0]
        for packet in source.demux(old):
            if packet.size:
                shift = round(at / packet.time_base)
                packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, stream
                target.mux(packet)
        return Fraction(old.frames, RATE)


def _measure(folder: Path, film: Path, motion_only: bool, reencode: bool) -> dict[str, Any]:
    """Return the segments of a film, the speed and the peak memory in MiB."""
    recognizer = _recognizer(folder, reencode)
    settings = timeline.window_settings(recognizer, WINDOW, STRIDE, motion_only)
    start, cost = time.perf_counter(), timeline.Cost()
    steps = timeline.classify_file(recognizer, str(film), settings, cost)
    segments = [(one.start, one.end, one.name) for one in timeline.segments(steps, recognizer.classes, 0.0)]
    wall, total = time.perf_counter() - start, sum(cost.seconds.values())
    peak = [resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return {
        "segments": segments,
        "times_real_time_one_core": round(cost.end / total, 1),
        "times_real_time_wall": round(cost.end / wall, 1),
        "shares": {part: round(seconds / total, 3) for part, seconds in cost.seconds.items()},
        "peak_mib": [round(value) for value in peak],
    }


if __name__ == "__main__":
    main()
