"""Attributes of HDF5 files and groups: single numbers, and texts of fixed length. Any others are refused."""

from collections.abc import Collection, Mapping
from typing import Any

import h5py
import numpy as np

from mocliplite.files import parse_json


def read_schema(file: h5py.Group) -> object:
    """Return the version of the file format, None if there is none. To be compared before anything else is read."""
    attribute = file.attrs.get_id("schema") if "schema" in file.attrs else None
    if attribute is None or attribute.dtype.kind not in "iu" or not _is_single(attribute):
        return None
    return int(file.attrs["schema"])


def read_settings(file: h5py.Group) -> dict[str, Any]:
    """Return the settings that decided a file's values. Raises ValueError if they are not a JSON object."""
    return _read_json_attribute(file, "settings")


def read_provenance(file: h5py.Group) -> dict[str, Any]:
    """Return what else is recorded of a file's origin. Raises ValueError if it is not a JSON object."""
    return _read_json_attribute(file, "provenance")


def _read_json_attribute(file: h5py.Group, name: str) -> dict[str, Any]:
    text = read_attributes(file)[name]
    value = parse_json(text) if isinstance(text, str) else None
    if not isinstance(value, dict):
        raise ValueError(f"its {name} is not a JSON object")
    return value


def write_attributes(group: h5py.Group, attributes: Mapping[str, Any]) -> None:
    """Write the attributes of a group or file in order of name: numbers, and text in fixed-length strings.

    HDF5 stores strings of variable length in a heap without a checksum, where one flipped bit can make it loop forever.
    """
    for name, value in sorted(attributes.items()):
        if isinstance(value, str):
            encoded = value.encode()
            group.attrs.create(name, encoded, dtype=h5py.string_dtype("utf-8", max(1, len(encoded))))
        else:
            group.attrs[name] = value


def read_attributes(group: h5py.Group, names: Collection[str] | None = None) -> dict[str, Any]:
    """Return the attributes that write_attributes wrote, as Python values, or those of them with these names.

    Raises ValueError for any others.
    """
    attributes: dict[str, Any] = {}
    found: list[bytes] = []
    # As in hdf5.names, in the order of the file.
    h5py.h5a.iterate(group.id, found.append, index_type=h5py.h5.INDEX_NAME, order=h5py.h5.ITER_NATIVE)
    for name in sorted(raw.decode() for raw in found):
        if names is not None and name not in names:
            continue
        attribute = group.attrs.get_id(name)
        text = h5py.check_string_dtype(attribute.dtype)
        known = attribute.dtype.kind in "iufb" or (text and text.length)
        if not known or not _is_single(attribute):
            raise ValueError(f"its attribute {name} is of a type that no store contains")
        value = np.asarray(group.attrs[name]).item()
        attributes[name] = value.decode() if isinstance(value, bytes) else value
    return attributes


def _is_single(attribute: h5py.h5a.AttrID) -> bool:
    """Return whether an attribute has one value, neither several nor none."""
    return bool(attribute.get_space().get_simple_extent_type() == h5py.h5s.SCALAR)
