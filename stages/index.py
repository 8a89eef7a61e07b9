"""Find the clips and record the id, path, label, group and content hash of each.

Reads dataset.root, dataset.lists and, if it is a manifest, dataset.files. Writes features/clips.csv.
"""

from mocliplite import params
from mocliplite.data.clips import class_names, write_clips
from mocliplite.data.groups import group_of
from mocliplite.data.index import find_clips

from . import run_stage


def main() -> None:
    settings = params.load().dataset
    clips = find_clips(settings)
    write_clips("features/clips.csv", clips)

    classes = len(class_names(clips))
    groups = len({group_of(clip, settings) for clip in clips})
    megabytes = sum({clip.path: clip.bytes for clip in clips}.values()) / 1e6
    print(f"{len(clips)} clips, {classes} classes, {groups} groups, {megabytes:.1f} MB")


if __name__ == "__main__":
    run_stage("index", main)
