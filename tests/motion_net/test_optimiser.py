"""Parameter groups of the optimisers, and the schedules of the learning rate."""

from dataclasses import replace

import pytest
import torch
from builders import NET

from mocliplite.encoders import efficientnet
from mocliplite.motion_net import networks
from mocliplite.motion_net.optimiser import build_optimiser, schedule, set_learning_rate


def test_biases_and_batchnorm_do_not_decay():
    settings = replace(NET, weight_decay=0.3)
    net = networks.build_network(settings, 3)
    optimiser = build_optimiser(net, settings)
    assert isinstance(optimiser, torch.optim.AdamW)
    decays = {id(value): group["weight_decay"] for group in optimiser.param_groups for value in group["params"]}
    assert {decays[id(value)] for value in net.parameters() if value.ndim == 1} == {0.0}
    assert {decays[id(value)] for value in net.parameters() if value.ndim > 1} == {0.3}


def test_the_papers_optimiser_has_three_learning_rates():
    settings = replace(NET, arch="efficientnet_b0", weight_decay=1e-4)
    net = networks.build_network(settings, 3)
    optimiser = build_optimiser(net, settings)
    assert type(optimiser) is torch.optim.Adam
    assert {group["eps"] for group in optimiser.param_groups} == {1e-3}
    factor = {id(value): group["lr_factor"] for group in optimiser.param_groups for value in group["params"]}
    factors = {name: factor[id(value)] for name, value in net.named_parameters()}
    stem = {"normalise.weight", "normalise.bias", f"backbone.{efficientnet.STEM}"}
    assert {name for name, value in factors.items() if value == 1.0} == {"classify.weight", "classify.bias"}
    assert {name for name, value in factors.items() if value == 0.1} == stem
    assert set(factors.values()) == {1.0, 0.1, 0.01}


@pytest.mark.parametrize(
    ("arch", "rates"),
    [
        ("motion_histogram", {0.0: 0, 0.05: 0.5, 0.1: 1, 0.55: 0.5, 1.0: 0}),
        # Epochs 79, 80, 159 and 160 of 200.
        ("efficientnet_b0", {0.0: 1, 79 / 200: 1, 80 / 200: 0.1, 159 / 200: 0.1, 160 / 200: 0.01}),
    ],
)
def test_learning_rates_follow_their_schedule(arch, rates):
    settings = replace(NET, arch=arch)
    assert [schedule(settings, fraction) for fraction in rates] == pytest.approx(list(rates.values()))


def test_the_schedule_multiplies_the_learning_rate_of_each_group():
    settings = replace(NET, arch="efficientnet_b0", lr=0.02)
    optimiser = build_optimiser(networks.build_network(settings, 3), settings)
    set_learning_rate(optimiser, settings, 0.5)
    # Half of the epochs are done, so each rate is a tenth of what it was.
    rates = sorted({group["lr"] for group in optimiser.param_groups})
    assert rates == pytest.approx([0.00002, 0.0002, 0.002])
