"""Whether a clip is like the footage of the train clips, and that it is said once."""

import json
from pathlib import Path

import pytest
from footage import encode, moving

from mocliplite.cli._main import main
from mocliplite.motion_net.footage import Footage, footage_of, summary, warning

TRAINED_ON = {"codecs": ["mpeg4"], "side": [144, 240]}


def test_the_summary_has_all_codecs_and_the_range_of_sizes():
    attributes = [
        {"codec": "mpeg4", "reencoded": False, "width": 320, "height": 240},
        {"codec": "h264", "reencoded": False, "width": 144, "height": 256},
        {"codec": "hevc", "reencoded": True, "width": 340, "height": 256},
    ]
    assert summary(map(footage_of, attributes)) == {"codecs": ["h264", "mpeg4", "re-encoded"], "side": [144, 256]}


@pytest.mark.parametrize(
    ("clip", "is_unlike"),
    [
        (Footage("mpeg4", 240), False),
        (Footage("mpeg4", 96), False),
        (Footage("mpeg4", 360), False),
        (Footage("mpeg4", 95), True),
        (Footage("mpeg4", 361), True),
        (Footage("h264", 240), True),
    ],
)
def test_another_codec_and_a_size_far_from_all_others_are_unlike(clip, is_unlike):
    assert (warning(clip, TRAINED_ON) is not None) == is_unlike
    assert warning(clip, None) is None


def test_the_sentence_names_both_and_what_to_do():
    assert warning(Footage("h264", 720), TRAINED_ON) == (
        "this is h264 with a shorter side of 720 pixels, but the motion network was trained on mpeg4 with 144 to 240, "
        "so it may fail here; train with motion.reencode, or convert such clips."
    )


def test_a_network_records_its_train_clips_and_commands_warn_once(small_project, tmp_path, capsys, monkeypatch):
    recorded = json.loads(Path("models/motion/config.json").read_text())["footage"]
    assert recorded == {"codecs": ["mpeg4"], "side": [96, 96]}
    for name in ("a", "b"):
        encode(tmp_path / f"{name}.mp4", moving(0, 4, frames=12, size=(96, 128)), codec="libx264")
    names = [str(tmp_path / "a.mp4"), str(tmp_path / "b.mp4")]
    wanted = f"warning: {names[0]}: this is h264 with a shorter side of 96 pixels, but "
    for more in ([], ["--window", "0.2"]):
        main(["predict", "clips/Rolling/1.avi", *names, *more])
        lines = [line for line in capsys.readouterr().err.splitlines() if "this is " in line]
        assert [line.startswith(wanted) for line in lines] == [True]
    main(["predict", "clips/Rolling/1.avi"])
    assert "this is" not in capsys.readouterr().err
