import random
from collections import Counter

import pytest

from mocliplite.data.group_split import assign_folds, select_fraction


def shared(count, first=0):
    """Groups that have one clip of each of two classes."""
    return {f"s{number}": Counter({0: 1, 1: 1}) for number in range(first, first + count)}


def own(class_groups, clips=3):
    """Groups of one class each: class_groups has their number by class."""
    return {f"{index}/{n}": Counter({index: clips}) for index, count in class_groups.items() for n in range(count)}


def clips_by_class(groups, names):
    return sum((groups[name] for name in names), Counter())


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("count", [5, 20])
def test_a_new_group_moves_one_known_group_at_each_border_at_most(count, seed):
    before, after = shared(count), shared(count + 1)
    moved = select_fraction(before, 0.2, seed) - select_fraction(after, 0.2, seed)
    assert len(moved) <= 1
    old, new = (assign_folds(groups, 4, seed) for groups in (before, after))
    assert sum(old[name] != new[name] for name in old) <= 3


def test_most_test_groups_stay_where_groups_have_several_classes_and_sizes():
    rng = random.Random(0)

    def person():
        return Counter({index: rng.randint(1, 9) for index in rng.sample(range(8), 4)})

    groups = {f"p{number}": person() for number in range(40)}
    before = select_fraction(groups, 0.3, 0)
    after = select_fraction(groups | {f"q{number}": person() for number in range(8)}, 0.3, 0)
    assert len(before & after) >= len(before) - 2


@pytest.mark.parametrize("seed", range(5))
def test_clips_of_each_class_are_divided_by_the_fraction(seed):
    groups = own({0: 10, 1: 20, 2: 40})
    assert clips_by_class(groups, select_fraction(groups, 0.3, seed)) == {0: 9, 1: 18, 2: 36}


def test_folds_have_the_same_number_of_clips_where_classes_have_fewer_groups_than_folds():
    groups = own(dict.fromkeys(range(10), 4))
    sizes = Counter(assign_folds(groups, 5, seed=0).values())
    assert sizes == dict.fromkeys(range(5), 8)


def test_no_fold_is_empty_if_one_group_has_nearly_all_clips():
    groups = {"large": Counter({0: 100, 1: 100})} | shared(4)
    for seed in range(5):
        assert sorted(assign_folds(groups, 5, seed).values()) == [0, 1, 2, 3, 4]


def test_each_class_is_on_both_sides_and_a_class_of_one_group_is_not_selected():
    groups = own({0: 1, 1: 2, 2: 3, 3: 30})
    for fraction in (0.01, 0.99):
        selected = Counter(int(name[0]) for name in select_fraction(groups, fraction, seed=0))
        assert (selected[0], selected[1]) == (0, 1)
        assert 1 <= selected[2] <= 2
        assert 1 <= selected[3] <= 29


def test_the_seed_decides_and_the_order_of_the_groups_does_not():
    groups = shared(12)
    first, *others = (select_fraction(groups, 0.25, seed) for seed in range(4))
    assert select_fraction(dict(reversed(groups.items())), 0.25, 0) == first
    assert any(selected != first for selected in others)
