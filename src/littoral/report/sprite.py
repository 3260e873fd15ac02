"""Many small pictures as one: it lies in a page once, and each place that shows a picture shows its part of it."""

from __future__ import annotations

import base64
import io
import math

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

COLUMNS = 20
"""Pictures in a row of the large one."""

SHOWN = 90
"""Longer side in pixels, about, at which a page shows a picture."""

COARSE = 2
"""From so much magnification on pixels stay square, and magnification is a whole number."""


def sprite_style(pixels: UInt8[np.ndarray, "n height width channels"]) -> str:
    """The style of `.pic`, which shows the picture in column --x and row --y of the large one."""
    number, height, width, _ = pixels.shape
    factor = SHOWN / max(height, width)
    times = max(1, round(factor)) if factor >= COARSE else min(factor, 1.5)
    shown_height, shown_width = max(1, round(times * height)), max(1, round(times * width))
    columns = min(COLUMNS, number)
    rows = math.ceil(number / columns)
    square = " image-rendering: pixelated;" if times >= COARSE else ""
    large, whole = _large(pixels, columns, rows), f"{columns * shown_width}px {rows * shown_height}px"
    return (
        f".pic {{ display: block; width: {shown_width}px; height: {shown_height}px;{square}\n"
        f'  print-color-adjust: exact; background-image: url("{large}"); background-size: {whole};\n'
        f"  background-position: calc(var(--x) * -{shown_width}px) calc(var(--y) * -{shown_height}px); }}\n"
    )


def place(number: int) -> str:
    """Where in the large picture the `number`th one lies, as a style."""
    return f"--x: {number % COLUMNS}; --y: {number // COLUMNS}"


def heat_uri(grid: Float32[np.ndarray, "rows columns"]) -> str:
    """A map to be laid over a picture: orange where it is above 0, blue below, the stronger the less transparent."""
    strength = np.abs(grid) / max(float(np.abs(grid).max()), 1e-9)
    colours = np.where(grid[..., None] > 0, (255, 122, 0), (0, 110, 255))
    rgba = np.concatenate([colours, np.round(215 * strength)[..., None]], axis=2).astype(np.uint8)
    encoded = io.BytesIO()
    Image.fromarray(rgba, "RGBA").save(encoded, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(encoded.getvalue()).decode()}"


def _large(pixels: UInt8[np.ndarray, "n height width channels"], columns: int, rows: int) -> str:
    number, height, width, channels = pixels.shape
    whole = np.zeros((rows * columns, height, width, channels), np.uint8)
    whole[:number] = pixels
    tiled = whole.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    tiled = tiled.reshape(rows * height, columns * width, channels)
    picture = Image.fromarray(tiled[:, :, 0] if channels == 1 else tiled)
    encoded = io.BytesIO()
    picture.save(encoded, "WEBP", quality=82, method=6)
    return f"data:image/webp;base64,{base64.b64encode(encoded.getvalue()).decode()}"
