"""Many encoded images -> pixels of one form, in one go: what a worker process is given and gives back."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from littoral.errors import ImageError
from littoral.images.decode import Upright, fit_to_spec, open_upright, quiet_pillow, read_bytes, size_of
from littoral.images.packed import PackedImage
from littoral.specs import ImageSpec

Encoded = str | PackedImage | bytes | NDArray[np.uint8]
"""A path as text (cheaper to hand to a worker than a Path), a row of a pack, the bytes of a file, or pixels."""


@dataclass(frozen=True)
class Batch:
    """What there is to say of images that were decoded: the own (height, width) of each, (0, 0) where unreadable.

    `modes`: the mode of each in its file (see `Upright`), "" where unreadable. `firsts`: whether each is the first
    picture of several in its file. `errors`: why an image, by number in the batch, has no pixels. `grey`: all channels
    of all images are alike.
    """

    sizes: NDArray[np.int32]
    modes: list[str]
    firsts: list[bool]
    errors: dict[int, str]
    grey: bool


def decode_batch(start: int, images: list[Encoded], spec: ImageSpec, target: NDArray[np.uint8]) -> Batch:
    """Decode images to the form of `spec` into `target[start:]`; those that cannot be are named and left out."""
    sizes = np.zeros((len(images), 2), np.int32)
    modes, firsts = [""] * len(images), [False] * len(images)
    errors = {}
    grey = True
    with quiet_pillow():
        for number, image in enumerate(images):
            try:
                upright = _upright(image, spec.channels)
                pixels = fit_to_spec(upright.image, spec)
            except ImageError as error:
                errors[number] = str(error)
                continue
            target[start + number] = pixels
            sizes[number] = upright.image.height, upright.image.width
            modes[number], firsts[number] = upright.mode, upright.first
            grey = grey and _is_grey(pixels)
    return Batch(sizes, modes, firsts, errors, grey)


def decode_batch_to_file(start: int, images: list[Encoded], spec: ImageSpec, file: str, total: int) -> Batch:
    """As `decode_batch`, into a file that holds `total` images: so pixels need not be sent to another process."""
    target = np.memmap(file, np.uint8, "r+", shape=(total, spec.height, spec.width, spec.channels))
    return decode_batch(start, images, spec, target)


def read_sizes(images: list[Encoded]) -> list[tuple[int, int]]:
    """(height, width) from the heads of those images that have one."""
    sizes = []
    with quiet_pillow():
        for image in images:
            try:
                size = image.shape[:2] if isinstance(image, np.ndarray) else size_of(_content(image))
            except ImageError:
                continue
            if size is not None:
                sizes.append((size[0], size[1]))
    return sizes


def digest_batch(start: int, images: list[Encoded]) -> list[bytes]:
    """Sixteen bytes an image that name its content; an image that cannot be read is named by the reason."""
    digests = []
    for image in images:
        try:
            content = image.tobytes() + str(image.shape).encode() if isinstance(image, np.ndarray) else _content(image)
        except ImageError as error:
            digests.append(digest_of_unreadable(str(error)))
        else:
            digests.append(hashlib.blake2b(content, digest_size=16).digest())
    return digests


def digest_of_unreadable(reason: str) -> bytes:
    """What stands in place of a digest for an image that cannot be read."""
    return hashlib.blake2b(f"unreadable: {reason}".encode(), digest_size=16).digest()


def _is_grey(pixels: NDArray[np.uint8]) -> bool:
    if pixels.shape[2] == 1:
        return True
    red, green, blue = pixels.reshape(-1, 3).T
    return bool(red[0] == green[0] == blue[0] and (red == green).all() and (green == blue).all())


def _upright(image: Encoded, channels: int) -> Upright:
    if isinstance(image, np.ndarray):
        picture = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
        return Upright(picture.convert("L" if channels == 1 else "RGB"), picture.mode)
    return open_upright(_content(image), channels)


def _content(image: str | PackedImage | bytes) -> bytes:
    if isinstance(image, bytes):
        return image
    return image.read() if isinstance(image, PackedImage) else read_bytes(image)
