"""An image in a Parquet file, read when it is asked for: so a pack may be larger than memory."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from littoral.errors import ImageError
from littoral.images.decode import UNREADABLE


@dataclass(frozen=True, slots=True)
class PackedImage:
    """Row `row` of row group `group` of the Parquet file `file`, in the column `image`."""

    file: str
    group: int
    row: int

    def read(self) -> bytes:
        """The encoded image; raises ImageError. One row group is kept, so images asked for in turn are read once."""
        return _row_group(self.file, self.group)[self.row]


@lru_cache(maxsize=1)
def _row_group(file: str, group: int) -> list[bytes]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(file) as opened:
            images: list[bytes] = opened.read_row_group(group, columns=["image"]).column("image").to_pylist()
    except (OSError, pyarrow.ArrowException) as error:
        raise ImageError(f"{UNREADABLE}: the pack's part {file} is no longer there, or no longer whole") from error
    return images
