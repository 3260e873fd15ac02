"""Which images a model was trained on, as short hashes that fit into its file, so that it is not judged on them."""

from __future__ import annotations

import base64
import binascii
import hashlib

import numpy as np
from numpy.typing import NDArray

from littoral.images.store import ImageStore
from littoral.rows import ImageRows, in_chunks

_BYTES = 6
"""Of a hash: with 100,000 images trained on and as many others, a chance of 4 in 100,000 that two are mixed up."""


def remember(images: NDArray[np.uint8] | ImageRows) -> str:
    """Images (n, height, width, channels) as text: their hashes, sorted, in base64."""
    return base64.b64encode(b"".join(sorted(set(_hashes(images))))).decode()


def seen_in(store: ImageStore, *remembered: str) -> NDArray[np.bool_]:
    """For each image of `store`, whether it is among those that `remember` was given; none when a text is not its."""
    known = {value for text in remembered for value in _values(text)}
    return np.array([value in known for value in _hashes(store.images)], bool)


def _values(remembered: str) -> list[bytes]:
    try:
        content = base64.b64decode(remembered, validate=True)
    except (binascii.Error, ValueError):
        return []
    return [content[start : start + _BYTES] for start in range(0, len(content), _BYTES)]


def _hashes(images: NDArray[np.uint8] | ImageRows) -> list[bytes]:
    chunks = in_chunks(images)
    return [hashlib.blake2b(image.data, digest_size=_BYTES).digest() for _, rows in chunks for image in rows]
