import json
from dataclasses import asdict

import pytest
import torch
from torch import nn
from torch.nn import functional

from mocliplite import nets, params

torch.set_num_threads(1)  # the machine is shared, and so small a network gains nothing from more

ARCHES = ["grid", "efficientnet_b0"]


def settings_of(arch="grid", **changes):
    plain = {"frames": 2, "rows": 6, "cols": 8, "width": 5, "dropout": 0.5, "lr": 0.01, "weight_decay": 0.0}
    plain |= {"label_smoothing": 0.0, "epochs": 1, "batch": 4, "flip": True, "views": ("plain", "flip"), "seed": 0}
    return params.MotionNet(arch=arch, **{**plain, **changes})


def fields_of(clips, frames=2):
    return torch.randn(clips, frames, 3, 6, 8, generator=torch.Generator().manual_seed(clips))


def seasoned(arch, classes=4):
    """A network in eval mode whose BatchNorm has seen clips."""
    torch.manual_seed(0)
    net = nets.motion_net(settings_of(arch), classes)
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0
    with torch.no_grad():
        net(fields_of(3))
    return net.eval()


def normal(layer, x):
    """What the BatchNorm2d does, on [B, C, T, rows, cols]; and ReLU."""
    return functional.batch_norm(x, layer.running_mean, layer.running_var, layer.weight, layer.bias).relu()


# Motion networks


@pytest.mark.parametrize(("arch", "length"), [("grid", 5), ("efficientnet_b0", 1280)])
def test_clip_becomes_an_embedding_and_a_logit_a_class(arch, length):
    net, fields = seasoned(arch, classes=4), fields_of(2)
    with torch.inference_mode():
        assert net.embed(fields).shape == (2, length)
        assert net(fields).shape == (2, 4)


@pytest.mark.parametrize("arch", ARCHES)
def test_embedding_does_not_depend_on_the_clips_beside_it(arch):
    net, fields = seasoned(arch), fields_of(3)
    with torch.inference_mode():
        together, alone = net.embed(fields), torch.cat([net.embed(fields[[row]]) for row in range(3)])
    assert together.std(dim=0).max() > 1e-2
    assert torch.allclose(together, alone, rtol=0, atol=1e-6)


@pytest.mark.parametrize("arch", ARCHES)
def test_restored_network_gives_the_same_logits(arch):
    net, fields = seasoned(arch, classes=3), fields_of(2)
    tensors = {name: value.numpy() for name, value in net.state_dict().items()}
    config = json.loads(json.dumps({"net": asdict(settings_of(arch)), "classes": ["Run", "Hop", "Jump"]}))
    restored = nets.restore(tensors, config)
    assert not restored.training
    with torch.inference_mode():
        assert torch.equal(restored(fields), net(fields))


@pytest.mark.parametrize(("frames", "rows", "cols"), [(1, 1, 1), (3, 5, 7)])
def test_grid_takes_any_number_and_size_of_fields(frames, rows, cols):
    fields = torch.randn(2, frames, 3, rows, cols)
    assert nets.motion_net(settings_of(), 4)(fields).shape == (2, 4)


def test_grid_tells_the_order_of_fields():
    fields = fields_of(1, frames=4)
    with torch.inference_mode():
        net = seasoned("grid")
        assert not torch.allclose(net.embed(fields), net.embed(fields.flip(1)), rtol=1e-3)


def test_grid_is_a_3d_network_of_flat_and_of_thin_convolutions():
    net, fields = seasoned("grid"), fields_of(2, frames=5)

    x = fields.transpose(1, 2)
    with torch.inference_mode():
        for space, time, stride in zip(net.space, net.time, (1, 2, 2), strict=True):
            x = normal(
                space[1], functional.conv3d(x, space[0].weight[:, :, None], None, (1, stride, stride), (0, 1, 1))
            )
            if not isinstance(time, nn.Identity):
                x = normal(time[1], functional.conv3d(x, time[0].weight[..., None], None, 1, (1, 0, 0)))
        wanted = net.project(torch.cat([x.mean(dim=(2, 3, 4)), x.amax(dim=(2, 3, 4))], dim=1))
        assert torch.allclose(net.embed(fields), wanted, atol=1e-5)


def test_efficientnet_sees_the_two_motion_channels_alone():
    net, fields = seasoned("efficientnet_b0"), fields_of(1)
    known = fields.clone()
    known[:, :, 2] = 9.0
    (stem,) = [layer for name, layer in net.named_modules() if name.endswith("embeddings.convolution")]
    assert stem.weight.shape == (32, 2, 3, 3)
    with torch.inference_mode():
        assert torch.equal(net.embed(known), net.embed(fields))


def test_efficientnet_is_the_published_b0():
    cost = nets.cost(nets.motion_net(settings_of("efficientnet_b0"), classes=10), fields_of(1, frames=2))
    # 5,288,548 with 3 input channels and 1000 classes; the BatchNorm before it has 4.
    assert cost["parameters"] == 5_288_548 - 9 * 32 - 1281 * 1000 + 1281 * 10 + 4
    # The paper's 0.39 G, a field.
    assert cost["macs"] / 2 == pytest.approx(0.39e9, rel=0.03)


def test_untrained_efficientnet_tells_clips_apart():
    torch.manual_seed(0)
    with torch.no_grad():
        embeddings = nets.motion_net(settings_of("efficientnet_b0"), 2).embed(fields_of(3, frames=1))
    assert embeddings.std(dim=0).mean() > 0.05


def test_one_batch_does_not_overwrite_the_running_statistics_of_efficientnet():
    net = nets.motion_net(settings_of("efficientnet_b0"), 2)
    with torch.no_grad():
        net(fields_of(2, frames=1) / 1000)
    variances = [layer.running_var for layer in net.modules() if isinstance(layer, nn.BatchNorm2d)]
    # They start at 1, and every batch moves them by a tenth of the way.
    assert torch.cat(variances).min() >= 0.9 - 1e-6


# Cost


@pytest.mark.parametrize(
    ("layer", "example", "parameters", "macs"),
    [
        # 4 x 6 outputs in 5 channels, each from 3 x 3 x 2 inputs; 90 weights, 5 biases.
        (nn.Conv2d(2, 5, 3), (1, 2, 6, 8), 95, 24 * 5 * 18),
        # A stride of 2 leaves 3 x 4 places.
        (nn.Conv2d(2, 5, 3, stride=2, padding=1, bias=False), (1, 2, 6, 8), 90, 12 * 5 * 18),
        # Depthwise: every channel from its own 3 x 3.
        (nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False), (1, 4, 6, 8), 36, 48 * 4 * 9),
        (nn.Linear(7, 3), (1, 7), 24, 21),
        # Applied to each of 5 rows.
        (nn.Linear(7, 3), (1, 5, 7), 24, 105),
        (nn.BatchNorm2d(2), (1, 2, 6, 8), 4, 0),
    ],
)
def test_cost_is_what_one_counts_by_hand(layer, example, parameters, macs):
    assert nets.cost(nn.Sequential(layer), torch.zeros(example)) == {"parameters": parameters, "macs": macs}


def test_counting_leaves_the_network_as_it_was():
    net = nets.motion_net(settings_of(), 4).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    assert nets.cost(net, fields_of(1)) == nets.cost(net, fields_of(1))
    assert net.training
    assert not any(layer._forward_hooks for layer in net.modules())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
