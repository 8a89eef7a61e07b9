"""The input of each training step of the heads: a random view of each clip, in an order of each seed's own."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mocliplite import params
from mocliplite.fusion.heads import Heads, attend


class Buffers(NamedTuple):
    """Preallocated memory for the input of a step; allocating it in each step would take longer than the rest."""

    x: Tensor  # features [S, B, D]
    uniform: Tensor  # random numbers of dropout, from 0 to 1 [S, B, hidden]


class Step(NamedTuple):
    """The clips of a training step, others for each seed."""

    x: Tensor  # features [S, B, D]
    dropout_mask: Tensor  # [S, B, hidden]
    labels: Tensor  # [S, B], or [S, B, C] where a clip may have several classes
    linear_logits: Tensor | None  # of the linear classifier [S, B, C]


class Views(NamedTuple):
    """All views of a stream [N, K, D] as rows, so that a step gathers its input with one index."""

    rows: Tensor  # [N * K, D]
    per_clip: int  # K
    drawn: int  # views that a step draws from: K, or 1 for view 0 alone

    @classmethod
    def of(cls, stream: Tensor, drawn: int) -> "Views":
        """Flatten a stream [N, K, D]."""
        return cls(stream.flatten(0, 1), stream.shape[1], drawn)


def allocate(settings: params.Head, length: int, device: torch.device) -> Buffers:
    """Buffers for inputs of this length."""
    widths = (length, settings.hidden)
    return Buffers(*(torch.empty(settings.seeds, settings.batch, width, device=device) for width in widths))


def epochs(heads: Heads, streams: Sequence[Tensor], labels: Tensor, settings: params.Head) -> Iterator[Iterator[Step]]:
    """Yield, without end, the steps of an epoch on the standardised streams [N, K, D].

    Each seed shuffles the clips in its own order. The features of a step may be overwritten by the next step. Where
    each step has the plain view, the logits of the linear classifier are computed once.
    """
    views = [Views.of(stream, drawn=1 if settings.views == "plain" else stream.shape[1]) for stream in streams]
    plain = all(stream.drawn == 1 for stream in views) and not settings.stream_dropout
    linear_logits = heads.linear_logits(streams) if plain else None
    generators = [torch.Generator(labels.device).manual_seed(seed) for seed in range(settings.seeds)]
    buffers = allocate(settings, len(heads.mean), labels.device)

    def steps() -> Iterator[Step]:
        orders = torch.stack([torch.randperm(len(labels), generator=one, device=labels.device) for one in generators])
        for rows in orders.split(settings.batch, dim=1):
            x, dropout_mask = step_input(views, rows, settings, generators, buffers, heads.query)
            yield Step(x, dropout_mask, labels[rows], None if linear_logits is None else linear_logits[0, rows])

    while True:
        yield steps()


def step_input(
    views: list[Views],
    rows: Tensor,
    settings: params.Head,
    generators: list[torch.Generator],
    buffers: Buffers,
    query: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Features [S, B, D] of the clips `rows` [S, B], and the dropout mask [S, B, hidden], True for units kept.

    Each seed draws from its own generator, in an order that does not depend on the other seeds. With a query, view 0
    of the first stream is the frames in its other views, pooled by `attend`.
    """
    size = rows.shape[1]
    x, uniform = buffers.x[:, :size], buffers.uniform[:, :size]

    def draw() -> Tensor:
        return torch.stack([torch.rand(size, generator=one, device=one.device) for one in generators])

    lengths = [stream.rows.shape[1] for stream in views]
    drawn = [(draw() * stream.drawn).long() if stream.drawn > 1 else torch.zeros_like(rows) for stream in views]
    for part, stream, view in zip(x.split(lengths, dim=2), views, drawn, strict=True):
        part.copy_(stream.rows[rows * stream.per_clip + view])
    if query is not None:
        frames = views[0].rows.unflatten(0, (-1, views[0].per_clip))[rows, 1:]
        pooled = torch.where(drawn[0][..., None] == 0, attend(frames, query), x[..., : lengths[0]])
        x = torch.cat([pooled, x[..., lengths[0] :]], dim=2)
    if settings.stream_dropout and len(views) > 1:
        # From 0 to 1 drops the first stream, from 1 to 2 the second; above that, none is dropped.
        choice = draw()[..., None] / settings.stream_dropout * len(views)
        stream_of = torch.cat([torch.full((length,), index, device=x.device) for index, length in enumerate(lengths)])
        x.mul_((choice < stream_of) | (choice >= stream_of + 1))
    for seed_uniform, generator in zip(uniform, generators, strict=True):
        seed_uniform.uniform_(generator=generator)
    return x, uniform >= settings.dropout
