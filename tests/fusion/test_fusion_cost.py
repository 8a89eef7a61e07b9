from toy_heads import heads_of

from mocliplite.fusion.cost import cost


def test_cost_counts_one_seed_of_the_head_and_every_keyframe():
    _, tensors = heads_of(seeds=4, inputs=5, hidden=3, classes=2)
    provenance = {"cost": {"encoder": {"parameters": 1000, "macs": 7000}, "motion": {"parameters": 20, "macs": 300}}}
    assert cost(tensors, {"keyframes": {"frames": 3}}, provenance) == {
        "encoder": {"parameters": 1000, "macs": 21000},
        "motion": {"parameters": 20, "macs": 300},
        # 5 x 3 weights, 3 biases, 3 x 2 weights, 2 biases.
        "head": {"parameters": 26, "macs": 21},
        "total": {"parameters": 1046, "macs": 21321},
    }
