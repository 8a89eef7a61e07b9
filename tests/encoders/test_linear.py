import copy

import pytest
import torch
from torch import nn

from mocliplite.encoders.linear import OneDnnLinear, use_onednn


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(5, 8), (2, 3, 8)])
@torch.inference_mode()
def test_linear_layers_by_onednn_give_the_values_of_torch(bias, shape):
    torch.manual_seed(0)
    reference = nn.Sequential(nn.Linear(8, 6, bias=bias), nn.GELU(), nn.Linear(6, 4)).eval()
    model = copy.deepcopy(reference)
    use_onednn(model)
    assert [type(layer) for layer in model] == [OneDnnLinear, nn.GELU, OneDnnLinear]
    x = torch.randn(shape)
    assert torch.allclose(model(x), reference(x), atol=1e-6)


@torch.inference_mode()
def test_values_do_not_depend_on_the_number_of_threads():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(256, 512), nn.Linear(512, 64)).eval()
    use_onednn(model)
    x, before, outputs = torch.randn(100, 256), torch.get_num_threads(), []
    for threads in (1, 2, 4):
        torch.set_num_threads(threads)
        outputs.append(model(x))
    torch.set_num_threads(before)
    assert torch.equal(outputs[0], outputs[1])
    assert torch.equal(outputs[0], outputs[2])
