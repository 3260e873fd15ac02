"""Decoded images as one uint8 array, in memory or in a file, beside their labels. Leaves reading files to others."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from littoral.errors import InputError
from littoral.rows import ImageRows, in_chunks
from littoral.specs import ImageSpec, Resize


@dataclass(frozen=True)
class ImageStore:
    """Images (n × height × width × channels, uint8), the class index of each (n, int64), and the classes' names.

    `images` is an array, or ImageRows where the images lie in a file. `split` names the part each image was given
    ("train", "val" or "test") where the data came already split, else None. `groups` numbers what each image belongs
    to (a person, a site); one group is never on both sides of a split, nor are images with the same number in `ties`,
    which are (nearly) equal; None: not looked for yet. `source` is what a record calls the data, such as "mnist".
    `resize` and `value_range`: how the images came to their size and to 0 to 255, see ImageSpec.
    """

    images: NDArray[np.uint8] | ImageRows
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    split: NDArray[np.str_] | None = None
    groups: NDArray[np.int64] | None = None
    ties: NDArray[np.int64] | None = None
    source: str = "arrays"
    resize: Resize = "pad"
    value_range: tuple[float, float] = (0.0, 255.0)

    def __post_init__(self) -> None:
        images = self.images
        if images.ndim != 4 or images.shape[3] not in (1, 3) or images.dtype != np.uint8:
            raise InputError(
                "images must be uint8 of shape (n, height, width, 1 or 3), "
                f"got {images.dtype} of shape {images.shape}; scale to 0..255 and add the channel axis"
            )
        if self.labels.dtype != np.int64 or self.labels.ndim != 1:
            raise InputError(f"labels must be int64 of shape (n,), got {self.labels.dtype} of {self.labels.shape}")
        if len(self.labels) != len(images):
            raise InputError(f"each of the {len(images)} images needs one label, got {len(self.labels)} labels")
        columns = (self.split, self.groups, self.ties)
        if any(column is not None and len(column) != len(images) for column in columns):
            raise InputError(f"split, groups and ties need one value for each of the {len(images)} images")
        if len(self.labels) and not 0 <= int(self.labels.min()) <= int(self.labels.max()) < len(self.class_names):
            raise InputError(f"labels must index the {len(self.class_names)} class names")
        require_unicode("class", self.class_names)

    def __len__(self) -> int:
        return len(self.images)

    def subset(self, index: NDArray[np.int64]) -> ImageStore:
        """The images at `index`, in that order."""
        return replace(
            self,
            images=self.images.take(index) if isinstance(self.images, ImageRows) else self.images[index],
            labels=self.labels[index],
            split=None if self.split is None else self.split[index],
            groups=None if self.groups is None else self.groups[index],
            ties=None if self.ties is None else self.ties[index],
        )

    def spec(self) -> ImageSpec:
        """The form of these images, whose pixels a network sees divided by 255."""
        height, width, channels = self.images.shape[1:]
        unit = ImageSpec.unit(height, width, channels)
        return replace(unit, resize=self.resize, value_range=self.value_range)

    def with_classes(self, class_names: tuple[str, ...]) -> ImageStore:
        """The same images with their labels numbered by these names, of which there may be more.

        Raises InputError for an image of a class that is not among them.
        """
        unknown = [name for name in self.class_names if name not in class_names]
        if unknown:
            raise InputError(
                f"the model knows the classes {', '.join(class_names)}, but {self.source} has {unknown[0]!r} too"
            )
        numbers = np.array([class_names.index(name) for name in self.class_names], np.int64)
        return replace(self, labels=numbers[self.labels], class_names=class_names)

    def fingerprint(self) -> str:
        """SHA-256 over pixels, labels, class names, given split and groups: equal for two runs on the same data."""
        digest = hashlib.sha256(repr((self.images.shape, self.class_names)).encode())
        for _, rows in in_chunks(self.images):
            digest.update(rows.data)
        digest.update(np.ascontiguousarray(self.labels).data)
        digest.update(b"" if self.split is None else "\n".join(self.split).encode())
        digest.update(b"" if self.groups is None else np.ascontiguousarray(self.groups).data)
        return digest.hexdigest()


def require_unicode(kind: str, names: Iterable[str]) -> None:
    """Raise InputError for the name of a class or another `kind` that cannot be written, as a folder's may be."""
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise InputError(f"the {kind} name {name!r} is no valid Unicode text; rename it") from error


def pixel_hashes(images: NDArray[np.uint8] | ImageRows) -> NDArray[np.void]:
    """Sixteen bytes an image, (n,): equal for equal pixels, and for no others that anybody will meet."""
    digests = [hashlib.sha256(image.data).digest()[:16] for _, rows in in_chunks(images) for image in rows]
    return np.frombuffer(b"".join(digests), np.dtype((np.void, 16)))


def as_images(values: Any) -> NDArray[np.uint8]:
    """Image arrays as users hold them -> (n, height, width, channels) uint8; (n, height, width) is taken as grey.

    Raises InputError for another dtype or rank: a float's range cannot be told from its dtype, so it is not guessed.
    """
    images = np.asarray(values)
    if images.dtype != np.uint8:
        step = "use .astype('uint8')" if images.dtype.kind in "iu" else "scale them to 0..255 and use .astype('uint8')"
        raise InputError(f"images must be uint8 (0 to 255), got {images.dtype}; {step}")
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.shape[3] not in (1, 3) or 0 in images.shape:
        raise InputError(
            "images must have shape (n, height, width) or (n, height, width, 1 or 3) with no axis empty, "
            f"got {np.asarray(values).shape}"
        )
    return np.ascontiguousarray(images)
