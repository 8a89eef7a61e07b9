"""The comparison of documented output with real output can fail."""

import pytest
from console import examples, first_difference

PAGE = """text
```console
$ first
line
$ second --now
```
```text
$ not a command
```
```console
$ third
...
end
```
"""


def test_commands_are_found_with_the_output_below_them():
    assert examples(PAGE) == [("first", ["line"]), ("second --now", []), ("third", ["...", "end"])]


@pytest.mark.parametrize(
    ("shown", "output"),
    [
        ([], "anything\n"),
        (["a", "b"], "a\nb\n"),
        (["a", "...", "d"], "a\nb\nc\nd\n"),
        (["...", "b", "c"], "a\nb\nc\n"),
        (["a", "..."], "a\n"),
        (["step:  100%"], "step: 100%\n"),
        (["top 0.979   +0.696"], "top 0.912 +0.700\n"),
        (["  96.8%  Star  (keyframe +2.92)", "  3.0%  Ring"], " 99.1%  Star (keyframe +1.10)\n 0.2%  Box\n"),
        (["metrics/eval.json  top1  0.25  -0.0334"], "metrics/eval.json top1 1.0 0.02\n"),
    ],
)
def test_output_of_the_same_shape_matches(shown, output):
    assert first_difference("command", shown, output) is None


@pytest.mark.parametrize(
    ("shown", "output", "difference"),
    [
        (["a", "b"], "a\n", "b"),
        (["b"], "a\nb\n", "b"),
        (["a", "...", "c", "b"], "a\nb\nc\n", "b"),
        (["a"], "a\nb\n", "(end; the output goes on: b)"),
        (["384 clips"], "383 clips\n", "384 clips"),
        (["top 0.979"], "top 0.98\n", "top 0.979"),
        (["gain +0.7"], "gain -0.7\n", "gain +0.7"),
        (["  96.8%  Star  (keyframe +2.92)"], "96.8% Ring (keyframe +2.92)\n", "  96.8%  Star  (keyframe +2.92)"),
        (
            ["metrics/cost.json  head.macs  106496"],
            "metrics/cost.json head.macs 106497\n",
            "metrics/cost.json  head.macs  106496",
        ),
    ],
)
def test_other_output_does_not_match(shown, output, difference):
    assert first_difference("command", shown, output) == difference


def test_output_that_depends_on_no_processor_is_compared_exactly():
    assert first_difference("python -m mocliplite probe x.avi", ["mpeg4 96.9"], "mpeg4 96.9\n") is None
    assert first_difference("python -m mocliplite probe x.avi", ["mpeg4 96.9"], "mpeg4 96.8\n") == "mpeg4 96.9"


def test_rows_of_metrics_are_found_in_any_order_but_must_be_there():
    shown = ["Path Metric", "metrics/cost.json head.macs 8 4 -4", "metrics/eval.json top1 0.5 0.25 -0.25", "..."]
    output = "Path  Metric\nmetrics/eval.json  top1  0.75  1.0  0.25\nmetrics/cost.json  head.macs  8  4  -4\n"
    assert first_difference("dvc metrics diff HEAD", shown, output) is None
    assert first_difference("dvc metrics diff HEAD", shown, output.replace("  8  4", "  8  5")) == shown[1]
