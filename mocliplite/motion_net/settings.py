"""The settings of a trained motion network. Imports nothing heavy: they are needed without torch, too."""

from collections.abc import Sequence
from typing import Any

from mocliplite.params import MotionNet, View


def settings_from_config(config: dict[str, Any], views: Sequence[View] = ("plain",)) -> MotionNet:
    """Return the settings in a checkpoint's config, with these views, which no network depends on."""
    # Models without the setting are from a version of the network that had directions only.
    return MotionNet(**{"histogram": "directions"} | config["net"], views=tuple(views))
