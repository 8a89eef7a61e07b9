"""Extract the motion vectors of every clip into motion fields.

Reads features/clips.csv and the videos; writes features/motion/. Only new and changed clips are decoded, and with
--retry-failed also those that failed. With --part I/N, only a part of the shards is written.
"""

from mocliplite import params
from mocliplite.data.clips import read_clips
from mocliplite.extraction import motion, shard_runs
from mocliplite.runtime import arguments

from . import run_stage

FOLDER = "features/motion"


def main() -> None:
    given = arguments.parse("motion")
    settings = params.load()
    clips = {clip.id: clip for clip in read_clips("features/clips.csv")}
    shards = shard_runs.shards_of_clips(FOLDER, "motion", clips, given.part)
    specs = [motion.Spec([shard], settings, given.retry_failed) for shard in shards]
    shard_runs.update_store_of_clips(FOLDER, "motion", motion.update_shards, specs, clips, settings, given.part)


if __name__ == "__main__":
    run_stage("motion", main)
