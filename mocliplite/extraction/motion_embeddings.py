"""The store of motion embeddings: fields through the trained motion network, shard by shard."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from mocliplite import checkpoint, params
from mocliplite.errors import Failure, UserError
from mocliplite.extraction import machines
from mocliplite.extraction.shard_runs import Updated
from mocliplite.motion_net import loader, networks
from mocliplite.motion_net.embedding import embed_batches
from mocliplite.motion_net.settings import settings_from_config
from mocliplite.runtime.arguments import Part
from mocliplite.runtime.device import device
from mocliplite.runtime.engines import groups
from mocliplite.runtime.gpu_memory import full_memory_means
from mocliplite.store import layout, shards, stores, update

_MODEL, _MOTION = "models/motion", "features/motion"


class _Shard(NamedTuple):
    path: Path
    ids: Sequence[str]


@dataclass(frozen=True)
class Spec:
    """What a worker is given."""

    shards: Sequence[_Shard]
    settings: params.Params
    motion: str  # digest of the motion store
    cache_key: Mapping[str, Any]
    provenance: Mapping[str, Any]


def specs_of(folder: str, settings: params.Params, part: Part) -> list[Spec]:
    """Return the specs for a part of the shards.

    Raises UserError unless there are a motion store and a network trained on fields with its settings.
    """
    _, config = checkpoint.load(_MODEL)
    digest = stores.digest(_MOTION)
    motion = _open_motion(digest)
    if config["motion"] != motion.settings:
        raise UserError(f"{_MODEL} was trained on fields with other settings than {_MOTION}; run `dvc repro`.")
    model, views = checkpoint.digest(_MODEL), settings.motion_net.views
    cache_key = {"motion": motion.settings, "model": model, "data": config.get("data"), "views": views}
    provenance = {"net": config["net"], "cost": config["cost"]}
    numbered = enumerate(layout.ids_by_path(folder, "motion_embeddings", motion.fingerprints).items())
    shards_of_part = [_Shard(path, ids) for number, (path, ids) in numbered if part.has(number)]
    return [Spec(group, settings, digest, cache_key, provenance) for group in groups(shards_of_part, settings.compute)]


def update_shards(spec: Spec) -> Iterator[Updated]:
    """Embed the clips of the shards that are not up to date, one shard after another."""
    for shard in spec.shards:
        yield _update_shard(shard, spec)


def _update_shard(shard: _Shard, spec: Spec) -> Updated:
    motion, compute = _open_motion(spec.motion), spec.settings.compute
    workers = compute.workers if compute.engine == "processes" else 0

    def embed(ids: list[str]) -> Iterator[tuple[str, shards.Record | Failure]]:
        yield from ((clip_id, motion.failures[clip_id]) for clip_id in ids if clip_id in motion.failures)
        usable = [clip_id for clip_id in shard.ids if clip_id not in motion.failures]
        new = set(ids)
        wanted = {row for row, clip_id in enumerate(usable) if clip_id in new}
        if not wanted:
            return
        torch_device = device(compute)
        machines.record(shard.path.parent, str(torch_device))
        net, net_settings = _load_network(spec.cache_key["model"], torch_device)
        clips = loader.MotionClips(motion, usable, net_settings)
        batches = embed_batches(net, clips, wanted, net_settings, spec.settings.motion_net.views, workers)
        for rows, embeddings, logits in batches:
            for row, embedding, of_views in zip(rows, embeddings, logits, strict=True):
                if row in wanted:
                    yield usable[row], _record(embedding, of_views, motion.lengths[usable[row]])

    fingerprints = {clip_id: motion.fingerprints[clip_id] for clip_id in shard.ids}
    computed, failed = update.update_shard(
        shard.path, "motion_embeddings", spec.cache_key, fingerprints, embed, provenance=spec.provenance
    )
    return Updated(shard.path, len(shard.ids), computed, failed)


def _record(embedding: np.ndarray, logits: np.ndarray, frames: int) -> shards.Record:
    """Return the record of a clip with embeddings [V, D] and logits [V, C]."""
    return shards.Record({"embedding": embedding, "logits": logits.mean(axis=0), "frames": np.array(frames)})


@lru_cache(maxsize=1)
def _open_motion(digest: str) -> stores.Store:
    """Open the motion store, once per process. Raises UserError if it does not have this digest."""
    checkpoint.check_source("this run", _MOTION, digest, stores.digest(_MOTION))
    return stores.open_store(_MOTION)


@lru_cache(maxsize=1)
def _load_network(digest: str, torch_device: torch.device) -> tuple[networks.Network, params.MotionNet]:
    """Load the motion network, once per process. Raises UserError if it does not have this digest."""
    checkpoint.check_source("this run", _MODEL, digest, checkpoint.digest(_MODEL))
    tensors, config = checkpoint.load(_MODEL)
    with full_memory_means("lower motion_net.width"):
        return networks.load_network(tensors, config).to(torch_device), settings_from_config(config)
