import pytest
from builders import clip_of

from mocliplite.data.groups import are_shared


def clips_of(classes, groups, takes):
    return [
        clip_of(f"{label}/g{group}_c{take}.avi", f"g{group}")
        for label in classes
        for group in range(groups)
        for take in range(takes)
    ]


@pytest.mark.parametrize(
    ("clips", "wanted"),
    [
        (clips_of("abc", groups=10, takes=1), True),  # as UT-Interaction: one clip of each class per sequence
        (clips_of("abc", groups=10, takes=4), False),  # as UCF101: clips cut from recordings numbered within a class
        ([clip_of(f"a/{number}.avi", str(number)) for number in range(5)], False),  # one class
    ],
)
def test_whether_classes_share_group_names_is_guessed_from_the_clips_per_class_and_name(clips, wanted):
    assert are_shared(clips) is wanted
