"""Training of the motion network. Validation clips choose the epoch; test clips are never seen here."""

import torch
from torch import Tensor, nn

from mocliplite import nets, params
from mocliplite.progress import counted

# Places sampled in each of a clip's spans: training takes one at random, all else the second.
JITTER = 4
PLAIN = 1

Curve = list[dict[str, float]]


def fit_motion(
    fields: Tensor, labels: Tensor, train: Tensor, val: Tensor, classes: int, settings: params.MotionNet
) -> tuple[nets.GridNet | nets.EfficientNetB0, Curve, int]:
    """Train the motion network on the clips `train`; returns (network of the best epoch, curve, that epoch from 0).

    fields: float16 [N, JITTER * T, 3, rows, cols]; labels: int64 [N]; train and val: int64 indices into N.
    The best epoch is that of the lowest validation loss.
    """
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(settings.seed)
    net = nets.motion_net(settings, classes).to(fields.device)
    optimiser = torch.optim.AdamW(net.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
    steps = settings.epochs * len(_batches(len(train), settings.batch))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=settings.lr, total_steps=steps)
    loss_of = nn.CrossEntropyLoss(label_smoothing=settings.label_smoothing)
    generator = torch.Generator().manual_seed(settings.seed)

    curve: Curve = []
    lowest, best_epoch = torch.inf, 0
    best = {name: value.clone() for name, value in net.state_dict().items()}
    for epoch in counted("train_motion", settings.epochs, "epoch"):
        net.train()
        total = 0.0
        order = train[torch.randperm(len(train), generator=generator).to(train.device)]
        for rows in _batches(len(order), settings.batch):
            chosen = order[rows]
            loss = loss_of(net(augment(fields[chosen], settings, generator)), labels[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.item() * len(chosen)
        _, logits = embed_motion(net, fields[val], settings.batch)
        val_loss = nn.functional.cross_entropy(logits, labels[val]).item()
        top1 = (logits.argmax(dim=1) == labels[val]).double().mean().item()
        curve.append({"train_loss": total / len(train), "val_loss": val_loss, "val_top1": top1})
        if val_loss < lowest:
            lowest, best_epoch = val_loss, epoch
            best = {name: value.clone() for name, value in net.state_dict().items()}
    net.load_state_dict(best)
    return net.eval(), curve, best_epoch


def field_shape(settings: params.MotionNet) -> tuple[int, int, int]:
    """(places, rows, cols) of a clip's sampled fields, the shape that fields.sample_fields takes."""
    return JITTER * settings.frames, settings.rows, settings.cols


def augment(fields: Tensor, settings: params.MotionNet, generator: torch.Generator) -> Tensor:
    """One random place of each span, and half of the clips mirrored: float32 [B, T, 3, rows, cols]."""
    clips, places = fields.shape[:2]
    spans = torch.arange(places // JITTER) * JITTER
    picks = spans + torch.randint(JITTER, (clips, len(spans)), generator=generator)
    out = fields[torch.arange(clips)[:, None], picks].float()
    if settings.flip:
        mirrored = (torch.rand(clips, generator=generator) < 0.5).to(out.device)
        out = torch.where(mirrored[:, None, None, None, None], flip(out), out)
    return out


def plain(fields: Tensor) -> Tensor:
    """The fields that everything but training sees: float32 [B, T, 3, rows, cols]."""
    return fields[:, PLAIN::JITTER].float()


def flip(fields: Tensor) -> Tensor:
    """The mirrored clip: columns in reverse, and what moved right moves left. [..., 3, rows, cols]."""
    sign = torch.tensor([-1.0, 1.0, 1.0], device=fields.device).reshape(3, 1, 1)
    return fields.flip(-1) * sign


@torch.inference_mode()
def embed_motion(
    net: nets.GridNet | nets.EfficientNetB0, fields: Tensor, batch: int, view: str = "plain"
) -> tuple[Tensor, Tensor]:
    """(embeddings float32 [N, D], logits float32 [N, C]) of one view, the network in eval mode."""
    net.eval()
    parts = []
    for rows in _batches(len(fields), batch):
        seen = plain(fields[rows])
        embedding = net.embed(flip(seen) if view == "flip" else seen)
        parts.append((embedding, net.classify(embedding)))
    embeddings, logits = zip(*parts, strict=True)
    return torch.cat(embeddings), torch.cat(logits)


def _batches(length: int, batch: int) -> list[slice]:
    return [slice(start, start + batch) for start in range(0, length, batch)]
