"""Motion networks: embeddings, the histogram, cost, and pretrained weights."""

import json
import math
from dataclasses import asdict, replace

import pytest
import torch
from builders import NET, sentence_of
from safetensors.torch import load_file
from torch import nn

from mocliplite.encoders import efficientnet
from mocliplite.motion_net import networks
from mocliplite.motion_net.settings import settings_from_config

ARCHES = ["motion_histogram", "efficientnet_b0"]


def net_settings(arch="motion_histogram", **changes):
    return replace(NET, arch=arch, width=5, **changes)


def random_fields(clips, arch="motion_histogram", frames=2):
    """Random fields; those for EfficientNet are larger, though smaller than the paper's."""
    size = (6, 8) if arch == "motion_histogram" else (64, 64)
    return torch.randn(clips, frames, 3, *size, generator=torch.Generator().manual_seed(clips))


def net_with_statistics(arch, classes=4):
    """A network in eval mode, its BatchNorm statistics taken from one batch."""
    torch.manual_seed(0)
    net = networks.build_network(net_settings(arch), classes)
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d | nn.BatchNorm3d):
            layer.momentum = 1.0
    with torch.no_grad():
        net(random_fields(3, arch))
    return net.eval()


# Motion networks


@pytest.mark.parametrize(("arch", "length"), [("motion_histogram", 4 * 5), ("efficientnet_b0", 1280)])
def test_a_clip_gives_an_embedding_and_one_logit_per_class(arch, length):
    net, fields = net_with_statistics(arch, classes=4), random_fields(2, arch)
    with torch.inference_mode():
        assert net.embed(fields).shape == (2, length)
        assert net(fields).shape == (2, 4)


@pytest.mark.parametrize("arch", ARCHES)
def test_embedding_does_not_depend_on_the_other_clips_of_the_batch(arch):
    net, fields = net_with_statistics(arch), random_fields(3, arch)
    with torch.inference_mode():
        together, alone = net.embed(fields), torch.cat([net.embed(fields[[row]]) for row in range(3)])
    assert together.std(dim=0).max() > 1e-2
    assert torch.allclose(together, alone, rtol=0, atol=1e-4)


@pytest.mark.parametrize("arch", ARCHES)
def test_restored_network_gives_the_same_logits(arch):
    net, fields = net_with_statistics(arch, classes=3), random_fields(2, arch)
    tensors = {name: value.numpy() for name, value in net.state_dict().items()}
    net_config = {key: value for key, value in asdict(net_settings(arch)).items() if key != "views"}
    config = json.loads(json.dumps({"net": net_config, "classes": ["Run", "Hop", "Jump"]}))
    restored = networks.load_network(tensors, config)
    assert not restored.training
    with torch.inference_mode():
        assert torch.equal(restored(fields), net(fields))


def test_a_model_without_the_setting_uses_directions():
    config = {key: value for key, value in asdict(net_settings()).items() if key not in ("views", "histogram")}
    assert settings_from_config({"net": config}).histogram == "directions"


@pytest.mark.parametrize("histogram", ["boundaries", "directions"])
@pytest.mark.parametrize(("frames", "rows", "cols"), [(1, 1, 1), (3, 5, 7)])
def test_motion_histogram_accepts_any_number_and_size_of_fields(frames, rows, cols, histogram):
    fields = torch.randn(2, frames, 3, rows, cols)
    assert networks.build_network(net_settings(histogram=histogram), 4)(fields).shape == (2, 4)


def test_motion_histogram_depends_on_the_order_of_fields():
    fields = random_fields(1, frames=8)
    with torch.inference_mode():
        net = net_with_statistics("motion_histogram")
        assert not torch.allclose(net.embed(fields), net.embed(fields.flip(1)), rtol=1e-3)


def histogram_of(fields, histogram):
    return networks.build_network(net_settings(histogram=histogram), 2).histogram(fields)


def mean_of_bins(signed, known):
    """The expected histogram of values [B, 4, 16, 24, 32]: two fields, rows and columns per bin."""
    volume = torch.cat([signed.clamp(min=0), (-signed).clamp(min=0), 1 - known[:, None]], dim=1)
    return volume.reshape(2, 9, 8, 2, 12, 2, 16, 2).mean(dim=(3, 5, 7))


def test_directions_are_the_mean_of_rectified_projections_in_each_bin():
    fields = torch.randn(2, 16, 3, 24, 32, generator=torch.Generator().manual_seed(0))
    angles = torch.arange(4) * math.pi / 4
    projections = torch.stack([a.cos() * fields[:, :, 0] + a.sin() * fields[:, :, 1] for a in angles], dim=1)
    expected = mean_of_bins(projections, fields[:, :, 2])
    assert torch.allclose(histogram_of(fields, "directions"), expected, atol=1e-5)


def test_boundaries_are_the_mean_of_rectified_derivatives_in_each_bin():
    fields = torch.randn(2, 16, 3, 24, 32, generator=torch.Generator().manual_seed(0))
    fields[:, :, 2] = 1.0
    x, y = fields[:, :, 0], fields[:, :, 1]
    derivatives = torch.stack([torch.gradient(motion, dim=dim)[0] for dim in (3, 2) for motion in (x, y)], dim=1)
    # torch.gradient continues at the edges, with one-sided differences.
    derivatives[:, :2, ..., [0, -1]] = 0
    derivatives[:, 2:, :, [0, -1]] = 0
    expected = mean_of_bins(derivatives, fields[:, :, 2])
    assert torch.allclose(histogram_of(fields, "boundaries"), expected, atol=1e-5)


def test_a_boundary_to_an_unknown_cell_does_not_count():
    fields = torch.zeros(1, 16, 3, 24, 32)
    fields[..., 2, :, :16] = 1.0
    fields[:, :, 0, :, :16] = 3.0
    assert histogram_of(fields, "boundaries")[:, :8].max() == 0
    fields[:, :, 2] = 1.0
    assert histogram_of(fields, "boundaries")[:, :8].max() > 0


def test_motion_of_the_whole_picture_does_not_change_the_boundaries():
    fields = torch.rand(1, 16, 3, 24, 32, generator=torch.Generator().manual_seed(0))
    moved = fields + torch.tensor([2.0, -1.0, 0.0]).reshape(3, 1, 1)
    assert torch.allclose(histogram_of(moved, "boundaries"), histogram_of(fields, "boundaries"), atol=1e-5)
    assert not torch.allclose(histogram_of(moved, "directions"), histogram_of(fields, "directions"), atol=0.1)


def test_opposite_motions_in_one_bin_do_not_cancel():
    fields = torch.zeros(1, 16, 3, 24, 32)
    fields[:, ::2, 0], fields[:, 1::2, 0] = 1.0, -1.0
    right, left = histogram_of(fields, "directions")[0, [0, 4]]
    assert torch.equal(right, torch.full((8, 12, 16), 0.5))
    assert torch.allclose(left, right)


@pytest.mark.parametrize("arch", ARCHES)
def test_the_logits_are_the_mean_of_the_members_logits(arch):
    net, fields = net_with_statistics(arch), random_fields(2, arch)
    with torch.inference_mode():
        embedding = net.embed(fields)
        assert torch.allclose(net.classify(embedding), net.member_logits(embedding).mean(dim=1), atol=1e-6)
        assert torch.allclose(net(fields), net.classify(embedding), atol=1e-6)


def test_a_member_learns_from_its_own_loss_alone():
    net = networks.build_network(net_settings(), 4).train()
    net.member_logits(net.embed(random_fields(3)))[:, 1].square().sum().backward()
    learned = [max(weight.grad.abs().max() for weight in member.parameters()) > 0 for member in net.members]
    assert learned == [False, True, False, False]


def test_motion_histogram_costs_at_most_17_million_multiply_accumulates_per_clip():
    settings = net_settings(rows=24, cols=32, frames=64)
    cost = networks.cost(networks.build_network(replace(settings, width=32), 101), torch.zeros(1, 64, 3, 24, 32))
    assert cost["macs"] <= 17_000_000
    assert cost["parameters"] <= 1_000_000


def test_efficientnet_ignores_the_share_known():
    net, fields = net_with_statistics("efficientnet_b0"), random_fields(1, "efficientnet_b0")
    known = fields.clone()
    known[:, :, 2] = 9.0
    (stem,) = [layer for name, layer in net.named_modules() if name.endswith("embeddings.convolution")]
    assert stem.weight.shape == (32, 2, 3, 3)
    with torch.inference_mode():
        assert torch.equal(net.embed(known), net.embed(fields))


def test_efficientnet_has_the_published_size_and_cost():
    cost = networks.cost(
        networks.build_network(net_settings("efficientnet_b0"), classes=10), torch.zeros(1, 2, 3, 224, 224)
    )
    # 5,288,548 with 3 input channels and 1000 classes; the BatchNorm before it has 4.
    assert cost["parameters"] == 5_288_548 - 9 * 32 - 1281 * 1000 + 1281 * 10 + 4
    # The published 0.39 G per image; there are two fields.
    assert cost["macs"] / 2 == pytest.approx(0.39e9, rel=0.03)


def test_untrained_efficientnet_gives_different_embeddings_to_different_clips():
    torch.manual_seed(0)
    with torch.no_grad():
        embeddings = networks.build_network(net_settings("efficientnet_b0"), 2).embed(
            random_fields(3, "efficientnet_b0", frames=1)
        )
    assert embeddings.std(dim=0).mean() > 0.05


def test_one_batch_does_not_overwrite_the_running_statistics_of_efficientnet():
    net = networks.build_network(net_settings("efficientnet_b0"), 2)
    with torch.no_grad():
        net(random_fields(2, "efficientnet_b0", frames=1) / 1000)
    variances = [layer.running_var for layer in net.modules() if isinstance(layer, nn.BatchNorm2d)]
    # They start at 1, and each batch moves them a tenth of the distance to its own variance.
    assert torch.cat(variances).min() >= 0.9 - 1e-6


# Cost


@pytest.mark.parametrize(
    ("layer", "example", "parameters", "macs"),
    [
        # 4 x 6 outputs in 5 channels, each from 3 x 3 x 2 inputs; 90 weights, 5 biases.
        (nn.Conv2d(2, 5, 3), (1, 2, 6, 8), 95, 24 * 5 * 18),
        # A stride of 2 leaves 3 x 4 outputs.
        (nn.Conv2d(2, 5, 3, stride=2, padding=1, bias=False), (1, 2, 6, 8), 90, 12 * 5 * 18),
        # Depthwise: every channel from its own 3 x 3.
        (nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False), (1, 4, 6, 8), 36, 48 * 4 * 9),
        (nn.Linear(7, 3), (1, 7), 24, 21),
        # Over time as well: 3 x 4 x 6 outputs in 5 channels, each from 3 x 3 x 3 x 2 inputs.
        (nn.Conv3d(2, 5, 3, bias=False), (1, 2, 5, 6, 8), 270, 72 * 5 * 54),
        # Applied to each of 5 rows.
        (nn.Linear(7, 3), (1, 5, 7), 24, 105),
        (nn.BatchNorm2d(2), (1, 2, 6, 8), 4, 0),
    ],
)
def test_cost_equals_a_count_by_hand(layer, example, parameters, macs):
    assert networks.cost(nn.Sequential(layer), torch.zeros(example)) == {"parameters": parameters, "macs": macs}


def test_counting_does_not_change_the_network():
    net = networks.build_network(net_settings(), 4).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    assert networks.cost(net, random_fields(1)) == networks.cost(net, random_fields(1))
    assert net.training
    assert not any(layer._forward_hooks for layer in net.modules())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


# Pretrained weights


@pytest.fixture
def pretrained(tmp_path):
    """A folder with an EfficientNet-B0 with random weights."""
    from transformers import EfficientNetConfig, EfficientNetModel

    config = EfficientNetConfig(width_coefficient=1.0, depth_coefficient=1.0, hidden_dim=1280)
    EfficientNetModel(config).save_pretrained(tmp_path)
    return tmp_path


def test_pretrained_weights_are_loaded_and_the_stem_is_averaged_over_colours(tmp_path):
    from transformers import EfficientNetConfig, EfficientNetModel

    torch.manual_seed(1)
    source = EfficientNetModel(EfficientNetConfig(width_coefficient=1.0, depth_coefficient=1.0, hidden_dim=1280))
    source.save_pretrained(tmp_path)
    net = networks.build_network(net_settings("efficientnet_b0"), 3)
    net.load_pretrained(str(tmp_path), None)
    pretrained, loaded = source.state_dict(), net.backbone.state_dict()
    assert len(loaded) > 100
    assert all(torch.equal(loaded[name], value) for name, value in pretrained.items() if name != efficientnet.STEM)
    assert torch.allclose(
        loaded[efficientnet.STEM], pretrained[efficientnet.STEM].mean(dim=1, keepdim=True).expand(-1, 2, -1, -1)
    )


def test_missing_pretrained_weights_are_refused_in_one_sentence(tmp_path):
    net = networks.build_network(net_settings("efficientnet_b0"), 3)
    message = sentence_of(net.load_pretrained, str(tmp_path / "absent"), None)
    assert message.startswith(f"params.yaml: motion_net.pretrained is '{tmp_path}/absent', from which no EfficientNet")
    assert message.endswith("; give a hub id, a folder, or null.")
    assert "\n" not in message


def test_pretrained_weights_are_not_read_from_a_device(tmp_path):
    net = networks.build_network(net_settings("efficientnet_b0"), 3)
    (tmp_path / "config.json").symlink_to("/dev/null")
    expected = f"{tmp_path}/config.json is not a regular file; save its content to a file instead."
    assert sentence_of(net.load_pretrained, str(tmp_path), None) == expected


def test_pretrained_weights_that_are_pickled_are_not_read(pretrained):
    torch.save(load_file(pretrained / "model.safetensors"), pretrained / "pytorch_model.bin")
    (pretrained / "model.safetensors").unlink()
    net = networks.build_network(net_settings("efficientnet_b0"), 3)
    sentence = sentence_of(net.load_pretrained, str(pretrained), None)
    assert sentence.startswith(
        f"params.yaml: motion_net.pretrained is '{pretrained}', from which no EfficientNet can be loaded ("
    )
    assert "no file named model.safetensors" in sentence
    assert sentence.endswith("; give a hub id, a folder, or null.")


@pytest.mark.parametrize("name", ["part.bin", "../outside.safetensors"])
def test_pretrained_weights_in_a_part_elsewhere_or_pickled_are_not_read(pretrained, name):
    weights = load_file(pretrained / "model.safetensors")
    (pretrained / "model.safetensors").rename(pretrained / "../outside.safetensors")
    torch.save(weights, pretrained / "part.bin")
    index = pretrained / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": dict.fromkeys(weights, name)}))
    net = networks.build_network(net_settings("efficientnet_b0"), 3)
    sentence = sentence_of(net.load_pretrained, str(pretrained), None)
    assert sentence.startswith(f"{index} names {name.removeprefix('../')}, which ")


@pytest.mark.parametrize("is_nested", [False, True])
@pytest.mark.parametrize("is_on_hub", [False, True])
def test_pretrained_weights_in_a_file_that_the_settings_name_are_refused(pretrained, monkeypatch, is_nested, is_on_hub):
    path = pretrained / "config.json"
    settings = json.loads(path.read_text()) | {"transformers_weights": "adapter_model.bin"}
    # transformers takes the settings of its own kind from within those of another kind.
    path.write_text(json.dumps({"model_type": "other", "inner": settings} if is_nested else settings))
    torch.save(load_file(pretrained / "model.safetensors"), pretrained / "adapter_model.bin")
    monkeypatch.setattr(efficientnet.hub, "cached", lambda name, revision: pretrained)
    net = networks.build_network(net_settings("efficientnet_b0"), 3)
    given = "someone/efficientnet" if is_on_hub else str(pretrained)
    assert sentence_of(net.load_pretrained, given, None).startswith(f"{path} has the key 'transformers_weights', by ")


def test_pretrained_weights_of_a_hub_id_are_downloaded_without_what_is_not_read(pretrained, monkeypatch):
    asked = []
    monkeypatch.setattr(efficientnet.hub, "cached", lambda name, revision: None)
    monkeypatch.setattr(efficientnet.hub, "download", lambda *given: asked.append(given) or pretrained)
    net = networks.build_network(net_settings("efficientnet_b0"), 3)
    net.load_pretrained("someone/efficientnet", "main")
    assert asked == [("someone/efficientnet", "main", ("config.json", "*.safetensors", "*.safetensors.index.json"))]
    weights = load_file(pretrained / "model.safetensors")
    assert torch.equal(net.backbone.state_dict()["encoder.top_bn.weight"], weights["encoder.top_bn.weight"])


def test_pretrained_weights_that_cannot_be_downloaded_are_refused_in_one_sentence(monkeypatch):
    monkeypatch.setattr(efficientnet.hub, "cached", lambda name, revision: None)
    monkeypatch.setattr(efficientnet.hub, "download", lambda *_: None)
    net = networks.build_network(net_settings("efficientnet_b0"), 3)
    assert "(it is not in the local hub cache, and cannot be downloaded)" in sentence_of(
        net.load_pretrained, "someone/efficientnet", None
    )


def test_pretrained_weights_of_another_network_are_refused(tmp_path):
    from transformers import EfficientNetConfig, EfficientNetModel

    net = networks.build_network(net_settings("efficientnet_b0"), 3)
    EfficientNetModel(
        EfficientNetConfig(width_coefficient=1.0, depth_coefficient=0.5, hidden_dim=1280)
    ).save_pretrained(tmp_path)
    assert sentence_of(net.load_pretrained, str(tmp_path), None) == (
        f"params.yaml: motion_net.pretrained is '{tmp_path}', which is not an EfficientNet-B0; "
        "use google/efficientnet-b0 or null."
    )
