"""The groups of clips: scenes or people, of one class or shared by all classes."""

from collections import Counter
from collections.abc import Sequence

from mocliplite import params
from mocliplite.data.clips import Clip, id_of


def group_of(clip: Clip, settings: params.Dataset) -> str:
    """Return the unique name of the group of a clip.

    A group belongs to one class, as UCF101 numbers its recordings, so its name includes the class, unless
    dataset.shared_groups says that one name means the same scene or person in all classes. The segments of a file whose
    group is the file are one group, of whatever classes they are, and so are all clips with dataset.multi_label.
    """
    is_file = not clip.span.is_whole_file and clip.group == id_of(clip.path)
    is_shared = settings.shared_groups or settings.multi_label or is_file
    return clip.group if is_shared else f"{clip.label}/{clip.group}"


def are_shared(clips: Sequence[Clip]) -> bool:
    """Guess whether a group name means the same scene or person in all classes.

    UT-Interaction records one clip of each class per sequence: if its sequences were not shared by classes, almost
    every clip would be its own group. UCF101 cuts several clips of one class from each recording, and numbers the
    recordings of each class from 1: there a name that occurs in several classes means nothing.
    """
    counts = Counter((clip.label, clip.group) for clip in clips)
    names = {group for _, group in counts}
    in_several_classes = len(counts) > len(names)
    return in_several_classes and sum(count == 1 for count in counts.values()) > len(counts) / 2
