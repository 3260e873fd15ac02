"""Stored images -> small pictures for a page or a sheet."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from littoral.images.store import ImageStore

SIDE = 128
"""Longer side of a picture, in pixels."""

COARSE = 3
"""From so much magnification on, pixels stay square: smoothed, so few of them show less."""


def thumbnail(store: ImageStore, index: int) -> Image.Image:
    """One image, L or RGB, brought to SIDE on its longer side."""
    pixels = np.asarray(store.images[np.array([index])])[0]
    picture = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    scale = SIDE / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.NEAREST if scale >= COARSE else Image.Resampling.BICUBIC)


def data_uri(picture: Image.Image) -> str:
    """The picture inside a text, as a PNG: a page with it asks nobody for a file."""
    encoded = io.BytesIO()
    picture.save(encoded, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(encoded.getvalue()).decode()}"
