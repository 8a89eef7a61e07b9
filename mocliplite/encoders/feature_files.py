"""Files of embeddings that were made elsewhere: .npz, .parquet, or a folder of .npy files, read as named arrays.

Nothing in a file is executed: pickled arrays are refused.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from mocliplite.errors import UserError, reading, refuse_special
from mocliplite.files import read_text

NAME_FILE = "name.txt"  # of a folder: name and version of the model


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a file by name, text as numpy str; own_features.py says which ones are expected.

    Raises UserError for a file that is missing, damaged or of another format.
    """
    if path.is_dir():
        return _read_folder(path)
    if path.suffix not in (".npz", ".parquet"):
        raise UserError(
            f"params.yaml: encoder.features is {path}; it must be a .npz file, a .parquet file, a folder of .npy "
            "files, or configs/none."
        )
    refuse_special(path)
    if not path.is_file():
        raise UserError(f"params.yaml: encoder.features is {path}, which does not exist; correct the path.")
    return _read_npz(path) if path.suffix == ".npz" else _read_parquet(path)


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, or of the names and contents of the files that are read from a folder."""
    if path.is_dir():
        files = [*sorted(path.rglob("*.npy")), path / NAME_FILE]
        contents = [(file.relative_to(path).as_posix(), digest(file)) for file in files]
        return hashlib.sha256(repr(contents).encode()).hexdigest()
    with reading(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    from zipfile import BadZipFile, is_zipfile
    from zlib import error as ZlibError  # noqa: N812  (a class)

    try:
        if not is_zipfile(path):  # numpy would try other formats
            raise ValueError("it is not a .npz file")
        with reading(path), np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, KeyError, AttributeError, MemoryError, BadZipFile, ZlibError) as error:
        raise _unreadable(path, error, "save it with numpy.savez, text as numpy.array(..., dtype=str)") from None


def _read_folder(folder: Path) -> dict[str, np.ndarray]:
    """One .npy file per clip: `<id>.npy`, or `<path of the clip>.npy` with or without the ending of the clip."""
    files = sorted(folder.rglob("*.npy"))
    if not files:
        raise UserError(f"{folder} has no .npy files; give a folder with one per clip.")
    if not (folder / NAME_FILE).is_file():
        raise UserError(f"{folder / NAME_FILE} does not exist; write name and version of the model into it.")
    rows: list[np.ndarray] = []
    for file in files:
        refuse_special(file)
        try:
            with reading(file), file.open("rb") as opened:
                row = np.lib.format.read_array(opened, allow_pickle=False)
        except (OSError, ValueError, EOFError, MemoryError) as error:
            raise _unreadable(file, error, "save it with numpy.save") from None
        if rows and (row.shape, row.dtype) != (rows[0].shape, rows[0].dtype):
            raise UserError(
                f"{file} is {_type(row)}, but {files[0]} is {_type(rows[0])}; embed all clips with the same model and "
                "the same number of frames."
            )
        rows.append(row)
    ids = [file.relative_to(folder).with_suffix("").as_posix() for file in files]
    try:
        name = read_text(folder / NAME_FILE).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(folder / NAME_FILE, error, "save it as text in UTF-8") from None
    return {"ids": np.array(ids), "embedding": np.stack(rows), "name": np.array(name)}


def _type(array: np.ndarray) -> str:
    return f"{array.dtype.name} {list(array.shape)}"


def _read_parquet(path: Path) -> dict[str, np.ndarray]:
    """One row per clip, as export-store writes it; `name` is in the metadata of the schema."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with reading(path):
            table = pq.read_table(path)
        arrays = {"ids" if name == "id" else name: _column_values(table[name]) for name in table.column_names}
        metadata = table.schema.metadata or {}
        if b"name" in metadata:
            arrays["name"] = np.array(metadata[b"name"].decode())
    except (OSError, ValueError, pa.ArrowException) as error:
        raise _unreadable(path, error, "write a row per clip, as `export-store --to parquet` does") from None
    # export-store flattens lists, so the number of frames is that of their indices.
    frames = arrays["frame"].shape[1] if "frame" in arrays and arrays["frame"].ndim == 2 else 1
    frames = max(frames, 1)  # own_features.py refuses an empty list
    if "embedding" in arrays and arrays["embedding"].ndim == 2 and arrays["embedding"].shape[1] % frames == 0:
        arrays["embedding"] = arrays["embedding"].reshape(len(arrays["embedding"]), frames, -1)
    return arrays


def _column_values(column: Any) -> np.ndarray:
    """Return a column of numbers or text, or of (nested) lists of equal length, as an array with a row per clip."""
    import pyarrow as pa
    import pyarrow.compute as pc

    types, values, shape = pa.types, column.combine_chunks(), [len(column)]
    while types.is_list(values.type) or types.is_large_list(values.type) or types.is_fixed_size_list(values.type):
        lengths = pc.list_value_length(values).unique().to_pylist()
        if len(lengths) != 1 or lengths == [None]:
            raise ValueError("the lists of a column differ in length")
        shape.append(lengths[0])
        values = values.flatten()
    if values.null_count:
        raise ValueError("a column has empty cells")
    is_text = types.is_string(values.type) or types.is_large_string(values.type)
    flat = np.array(values.to_pylist(), dtype=str) if is_text else values.to_numpy(zero_copy_only=False)
    return flat.reshape(shape)


def _unreadable(path: Path, error: Exception, advice: str) -> UserError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return UserError(f"{path} cannot be read ({reason}); {advice}.")
