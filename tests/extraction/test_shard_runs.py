"""The order in which the shards of a store are computed."""

from builders import clip_of

from mocliplite.extraction.shard_runs import shards_of_clips
from mocliplite.runtime.arguments import WHOLE
from mocliplite.store import schema


def test_the_two_shards_that_divide_one_follow_each_other(folder, monkeypatch):
    clips = {clip.id: clip for clip in map(clip_of, (f"a/{number}.avi" for number in range(60)))}
    for shards, order in ((8, [0, 4, 1, 5, 2, 6, 3, 7]), (1, [0])):
        monkeypatch.setattr(schema, "SHARDS", {"keyframes": shards})
        found = shards_of_clips("store", "keyframes", clips, WHOLE)
        assert [shard.path.name for shard in found] == [f"{number:04d}.h5" for number in order]
        assert sorted(clip.id for shard in found for clip in shard.clips) == sorted(clips)
