from pathlib import Path

import pytest

from benchmarks import made_up, scale
from mocliplite.files import read_json
from stages import index, pairs, split, train_probes


@pytest.mark.usefixtures("folder")
def test_the_stages_accept_made_up_stores_and_need_both_streams():
    made_up.write_project(Path(), 1000)
    lists = [Path("features/clips.csv"), Path("features/splits.csv")]
    written = [path.read_bytes() for path in lists]
    for stage in (index, split, pairs, train_probes):
        stage.main()
    assert [path.read_bytes() for path in lists] == written
    top1 = {name: figures["val_top1"] for name, figures in read_json("metrics/probes.json")["val"].items()}
    assert max(top1["keyframe_probe"], top1["motion_probe"]) + 0.05 < top1["ridge"] < 0.95


def test_the_table_has_a_row_per_stage_and_a_column_per_number_of_clips():
    costs = {1000: {"pairs": scale.Cost(0.5, 98.4)}, 50000: {"pairs": scale.Cost(5.93, 1790.2)}}
    assert scale.table(costs) == [
        "| s of processor time, peak MiB | 1,000 clips | 50,000 clips |",
        "|---|---:|---:|",
        "| pairs | 0.5, 98 | 5.9, 1,790 |",
    ]
