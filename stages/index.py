"""Find the clips and give each an id, path, label, group and content hash; knows nothing of splits.

Reads dataset.root, and classInd.txt of dataset.lists where it is; writes features/clips.csv.
"""

from mocliplite import params
from mocliplite.data.clips import find_clips, write_clips
from mocliplite.errors import run


def main() -> None:
    clips = find_clips(params.load().dataset)
    write_clips("features/clips.csv", clips)

    classes = len({clip.label for clip in clips})
    groups = len({clip.group for clip in clips})
    megabytes = sum(clip.bytes for clip in clips) / 1e6
    print(f"{len(clips)} clips, {classes} classes, {groups} groups, {megabytes:.1f} MB")


if __name__ == "__main__":
    run(main)
