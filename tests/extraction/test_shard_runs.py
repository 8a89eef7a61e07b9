"""The order in which the shards of a store are computed."""

from builders import clip_of

from mocliplite.extraction.shard_runs import shards_of_clips
from mocliplite.runtime.arguments import WHOLE


def test_the_two_shards_that_divide_one_at_a_doubling_follow_each_other():
    clips = {clip.id: clip for clip in (clip_of(f"Run/{number}.avi") for number in range(9))}
    found = [shard.path.name for shard in shards_of_clips("s", "keyframes", clips, WHOLE)]
    assert found[:4] == ["0000.h5", "0008.h5", "0001.h5", "0009.h5"]
    assert sorted(found) == [f"{number:04d}.h5" for number in range(16)]
