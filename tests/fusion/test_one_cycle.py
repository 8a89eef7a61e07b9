import sys

import pytest
import torch
from imports import ROOT
from project import sh

from mocliplite.fusion.one_cycle import OneCycleAdamW, one_cycle


@pytest.mark.parametrize("steps", [4, 10, 137])
def test_schedule_is_torchs(steps):
    optimiser = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=0.5, total_steps=steps)
    for step in range(steps):
        group = optimiser.param_groups[0]
        assert one_cycle(step, steps) == pytest.approx((group["lr"] / 0.5, group["betas"][0]), abs=1e-12)
        optimiser.step()
        if step < steps - 1:
            schedule.step()


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_few_steps_have_a_rate_too(steps):
    assert all(0 < one_cycle(step, steps)[0] <= 1 for step in range(steps))


def test_a_bowl_is_descended_to_its_ground():
    place = torch.nn.Parameter(torch.tensor([3.0, -2.0]))
    descent = OneCycleAdamW([place], lr=0.3, weight_decay=0.0, steps=200)
    for _ in range(200):
        descent.step((place - torch.tensor([1.0, 1.0])).square().sum())
    assert place.detach().tolist() == pytest.approx([1.0, 1.0], abs=1e-3)


def test_torchs_compiler_is_not_imported():
    code = (
        "import sys, torch; from mocliplite.fusion.one_cycle import OneCycleAdamW;"
        "x = torch.nn.Parameter(torch.ones(2));"
        "OneCycleAdamW([x], 0.1, 0.0, 3).step(x.sum()); print('torch._dynamo' in sys.modules)"
    )
    assert sh(ROOT, f'{sys.executable} -c "{code}"') == "False\n"
