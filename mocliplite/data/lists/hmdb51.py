"""The split lists of HMDB51: <class>_test_splitN.txt. Labels are the names of class folders."""

from collections.abc import Iterator

from mocliplite import params
from mocliplite.data.lists.entry import Entry, ListedSplit, read_lines
from mocliplite.data.lists.split_files import files_of_split, parse_line
from mocliplite.errors import UserError

_SPLITS: dict[str, ListedSplit] = {"1": "train", "2": "test", "0": "unused"}


def read(settings: params.Dataset) -> Iterator[Entry]:
    """Yield the entries of the lists of dataset.split, `x.avi 1`, where 1 is train, 2 is test and 0 is unused.

    Raises UserError for a missing list and for an invalid line.
    """
    for label, file in files_of_split(settings, r"(.+)_test_split(\d+)\.txt", "{}_test_split{}.txt", set()).items():
        for location, line in read_lines(file):
            path, numbers = parse_line(location, line, "x.avi 1", (0, 1))
            if not numbers or numbers[0] not in _SPLITS:
                raise UserError(f"{location}: {line!r} must end with 1 (train), 2 (test) or 0 (unused); correct it.")
            yield Entry(f"{label}/{path}", label, location, _SPLITS[numbers[0]])
