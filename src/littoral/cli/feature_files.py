"""Features of images as a table: .npz for NumPy or Parquet for everybody, one row an image, whole or not at all."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from littoral.errors import InputError
from littoral.files import require_writable, written_atomically
from littoral.images.pack import is_pack

ROWS_AT_ONCE = 4096
"""Rows of a Parquet file that are in memory a second time while it is written."""

Columns = Mapping[str, list[str] | None]
"""`path`, `label` and `split` of each image; None where there are none."""


def require_feature_place(out: Path, read: list[Path]) -> None:
    """Raise InputError unless features could be written there: by its ending, and to none of the files to read.

    `read`: files, and folders; of a pack all files are read.
    """
    if out.suffix.lower() not in (".npz", ".parquet"):
        raise InputError(f"--out must end in .npz or .parquet, got {out}")
    if out.suffix.lower() == ".parquet" and find_spec("pyarrow") is None:
        raise InputError("parquet needs pyarrow, which is not installed; pip install 'littoral[parquet]'")
    require_writable(out)
    if out.resolve() in {file.resolve() for file in read}:
        raise InputError(f"--out {out} is one of the files to read; choose another name")
    for pack in filter(is_pack, read):
        if out.resolve().is_relative_to(pack.resolve()):
            raise InputError(
                f"--out {out} lies in {pack}, a pack, whose files are kept as they are; name a place outside"
            )


def write_features(groups: Mapping[str, NDArray[np.float32]], columns: Columns, out: Path) -> None:
    """Write the groups (n × size each, by name) beside the columns, in the form that the ending of `out` names."""
    with written_atomically(out) as handle:
        if out.suffix.lower() == ".npz":
            _npz(groups, columns, handle)
        else:
            _parquet(groups, columns, handle)


def _npz(groups: Mapping[str, NDArray[np.float32]], columns: Columns, handle: BinaryIO) -> None:
    names = [f"{group}_{at}" for group, values in groups.items() for at in range(values.shape[1])]
    texts = {f"{name}s": np.array(values, np.str_) for name, values in columns.items() if values is not None}
    arrays = {"features": np.concatenate(list(groups.values()), axis=1), "names": np.array(names, np.str_), **texts}
    with zipfile.ZipFile(handle, "w") as archive:  # what np.savez writes
        for name, values in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, values, allow_pickle=False)


def _parquet(groups: Mapping[str, NDArray[np.float32]], columns: Columns, handle: BinaryIO) -> None:
    import pyarrow
    import pyarrow.parquet

    lists = {name: pyarrow.list_(pyarrow.float32(), values.shape[1]) for name, values in groups.items()}
    kinds = {"row": pyarrow.int64(), **dict.fromkeys(columns, pyarrow.string()), **lists}
    count = len(next(iter(groups.values())))
    with pyarrow.parquet.ParquetWriter(handle, pyarrow.schema(list(kinds.items()))) as writer:
        for start in range(0, count, ROWS_AT_ONCE):
            rows = range(start, min(start + ROWS_AT_ONCE, count))
            part = {"row": pyarrow.array(rows, pyarrow.int64())}
            for name, texts in columns.items():
                values = [None] * len(rows) if texts is None else texts[start : rows.stop]
                part[name] = pyarrow.array(values, pyarrow.string())
            for name, numbers in groups.items():
                flat = pyarrow.array(np.ascontiguousarray(numbers[start : rows.stop]).reshape(-1))
                part[name] = pyarrow.FixedSizeListArray.from_arrays(flat, type=lists[name])
            writer.write_table(pyarrow.table(part))
