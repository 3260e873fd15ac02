"""ImageTable: where labelled images are and what they show, before any is decoded.

Sources make it, `build.py` decodes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from littoral.errors import InputError
from littoral.images.packed import PackedImage

PART_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
"""What the parts of data that come already split may be called, in small letters, and what they are."""


@dataclass(frozen=True)
class ImageTable:
    """One row an image: where it is (a file, a row of a pack, encoded bytes, or a uint8 array), its name in messages,
    and its label.

    `groups`: images of one group (a person, a site, a day) never straddle a split. `split`: the part of each image
    where the data came split. `skipped`: files that were passed over because they are hidden or no images. `empty`:
    folders where classes are, without an image in them. `paths`: whether all names are paths, which tell of groups.
    """

    images: tuple[Path | PackedImage | bytes | NDArray[np.uint8], ...]
    names: tuple[str, ...]
    labels: tuple[str, ...]
    groups: tuple[str, ...] | None
    split: tuple[str, ...] | None
    source: str
    skipped: int = 0
    empty: tuple[str, ...] = ()
    paths: bool = True

    def __post_init__(self) -> None:
        if not self.images:
            raise InputError(f"{self.source} holds no labelled images")
        columns = (self.names, self.labels, self.groups or self.labels, self.split or self.labels)
        if any(len(column) != len(self.images) for column in columns):
            raise InputError(f"{self.source}: names, labels, groups and split need one value an image")
        if self.split is not None and (wrong := set(self.split) - set(PART_NAMES.values())):
            raise InputError(f"{self.source}: a split is one of {', '.join(PART_NAMES)}, got {sorted(wrong)[0]!r}")

    def require_two_classes(self) -> None:
        """Raise InputError for a table of one class: it can be looked at, but nothing can be trained on it."""
        if len(set(self.labels)) < 2:
            raise InputError(
                f"{self.source} holds one class, {self.labels[0]!r}; a classifier needs at least two, "
                "each in a folder of its own or with a label of its own"
            )
