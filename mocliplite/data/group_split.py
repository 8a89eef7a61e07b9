"""Splits of whole groups that change little when clips are added.

They are a function of the groups alone, not of an earlier split, so that they are the same on every machine. The groups
are in a random order that a hash of their names and of the seed decides, and neighbours in this order are in the same
part. A new group takes its place in the order, and only groups at the borders between two parts change sides.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping

Groups = Mapping[str, Counter[int]]  # number of clips of each class, by name of the group


def select_fraction(groups: Groups, fraction: float, seed: int) -> set[str]:
    """Return the names of groups with about this fraction of the clips, above 0 and below 1, of each class.

    Of each class one group at least is not selected, and of a class in several groups one at least is. This can fail
    where groups have several classes.
    """
    middles = _middles(groups, seed)
    selected = {group for group, middle in middles.items() if middle < fraction}
    members: dict[int, list[str]] = {}
    for group in middles:
        for index in groups[group]:
            members.setdefault(index, []).append(group)
    for _, of_class in sorted(members.items()):
        if selected.issuperset(of_class):
            selected.remove(of_class[-1])
        elif len(of_class) > 1 and selected.isdisjoint(of_class):
            selected.add(of_class[0])
    return selected


def assign_folds(groups: Groups, count: int, seed: int) -> dict[str, int]:
    """Return the fold of each group, from 0, with about as many clips in each fold, of each class.

    No fold is empty if there are at least as many groups as folds.
    """
    folds: dict[str, int] = {}
    last = -1
    for place, (group, middle) in enumerate(_middles(groups, seed).items()):
        left = len(groups) - place
        last = folds[group] = max(min(int(middle * count), last + 1), count - left)
    return folds


def _middles(groups: Groups, seed: int) -> dict[str, float]:
    """Return the groups in an order in which all classes are spread evenly, and where in it their middle clip is.

    The place of a clip is between 0 and 1, the first and the last one.
    """
    total, before, middles = sum(classes.total() for classes in groups.values()), 0, {}
    for group in _spread_order(groups, seed):
        size = groups[group].total()
        middles[group] = (before + size / 2) / total
        before += size
    return middles


def _spread_order(groups: Groups, seed: int) -> list[str]:
    """Return the groups in the order of their mean place among the clips of each of their classes."""
    totals, before = Counter[int](), Counter[int]()
    for classes in groups.values():
        totals.update(classes)
    place = {}
    for group in sorted(groups, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest()):
        shares = {index: count / totals[index] for index, count in sorted(groups[group].items())}
        middles = [share * (before[index] / totals[index] + share / 2) for index, share in shares.items()]
        place[group] = sum(middles) / sum(shares.values())
        before.update(groups[group])
    return sorted(place, key=lambda group: place[group])
