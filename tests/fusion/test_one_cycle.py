import sys

import pytest
import torch
from imports import ROOT
from project import sh

from mocliplite.fusion.one_cycle import OneCycleAdamW, one_cycle


@pytest.mark.parametrize("steps", [4, 10, 137])
def test_schedule_equals_torchs_one_cycle(steps):
    optimiser = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=0.5, total_steps=steps)
    for step in range(steps):
        group = optimiser.param_groups[0]
        assert one_cycle(step, steps) == pytest.approx((group["lr"] / 0.5, group["betas"][0]), abs=1e-12)
        optimiser.step()
        if step < steps - 1:
            schedule.step()


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_learning_rate_is_positive_with_few_steps(steps):
    assert all(0 < one_cycle(step, steps)[0] <= 1 for step in range(steps))


def test_it_minimises_a_quadratic_function():
    parameter = torch.nn.Parameter(torch.tensor([3.0, -2.0]))
    optimizer = OneCycleAdamW([parameter], lr=0.3, weight_decay=0.0, steps=200)
    for _ in range(200):
        optimizer.step((parameter - torch.tensor([1.0, 1.0])).square().sum())
    assert parameter.detach().tolist() == pytest.approx([1.0, 1.0], abs=1e-3)


def test_a_step_does_not_import_torchs_compiler():
    code = (
        "import sys, torch; from mocliplite.fusion.one_cycle import OneCycleAdamW;"
        "x = torch.nn.Parameter(torch.ones(2));"
        "OneCycleAdamW([x], 0.1, 0.0, 3).step(x.sum()); print('torch._dynamo' in sys.modules)"
    )
    assert sh(ROOT, f'{sys.executable} -c "{code}"') == "False\n"
