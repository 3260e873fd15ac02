"""Bytes of an image file -> the uint8 image that a model takes. The project's only decoding and only resize.

JPEG, PNG, BMP, GIF (first frame), TIFF and WebP, through Pillow. The EXIF orientation is applied, transparency is
laid over white, 16-bit pixels are scaled (not clipped) to 8 bits.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from littoral.errors import ImageError
from littoral.specs import ImageSpec

MAX_PIXELS = 100_000_000
"""Larger images are refused before they are unpacked: a small file can claim to hold gigabytes of pixels."""

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP")


def decode_file(path: Path, spec: ImageSpec) -> NDArray[np.uint8]:
    """The image file at `path` as (height, width, channels) uint8 in the form of `spec`; raises ImageError."""
    if path.exists() and not path.is_file():
        raise ImageError("is no file, but a folder, a pipe or a device")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ImageError(f"cannot be read: {error.strerror}") from error
    return decode_bytes(content, spec)


def decode_bytes(content: bytes, spec: ImageSpec) -> NDArray[np.uint8]:
    """An encoded image as (height, width, channels) uint8 in the form of `spec`.

    Raises ImageError, in one phrase, for bytes that are no image, are cut short, or hold over MAX_PIXELS pixels.
    """
    if not content:
        raise ImageError("is empty (0 bytes)")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of what is decided here: size limit, odd metadata
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise ImageError(f"has {image.width}×{image.height} pixels, more than the limit of {MAX_PIXELS:,}")
                image.load()
                upright = ImageOps.exif_transpose(image)
                if upright.mode.startswith("I") or upright.mode == "F":
                    upright = _scaled_to_8_bits(upright, is_png=image.format == "PNG")
                return fit_to_spec(_to_mode(upright, "L" if spec.channels == 1 else "RGB"), spec)
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageError(f"has more pixels than the limit of {MAX_PIXELS:,}") from error
    except Exception as error:  # Pillow's parsers raise many kinds (OSError, SyntaxError, struct.error, …) on bad bytes
        raise ImageError("is not a readable JPEG, PNG, BMP, GIF, TIFF or WebP image, or is cut short") from error


def _scaled_to_8_bits(image: Image.Image, is_png: bool) -> Image.Image:
    """Grey pixels of 16 bits -> 8 bits; others are refused, since nothing tells their range."""
    # some versions of Pillow hold a 16-bit PNG as 32-bit integers; a TIFF can hold 32 bits of its own
    if not (image.mode.startswith("I;16") or (image.mode == "I" and is_png)):
        raise ImageError("has float or 32-bit pixels, whose range is unknown; convert it to 8 or 16 bits")
    return Image.fromarray(np.round(np.asarray(image) / 257.0).astype(np.uint8))  # 65535 / 255 = 257


def _to_mode(image: Image.Image, mode: str) -> Image.Image:
    """Any Pillow mode of 8 bits or fewer -> L or RGB."""
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    if image.mode == "LAB":  # Pillow knows no way from it to L
        image = image.convert("RGB")
    return image.convert(mode)


def fit_to_spec(image: Image.Image, spec: ImageSpec) -> NDArray[np.uint8]:
    """Bring an L or RGB image to the spec's size: scaled to fit, antialiased, the rest filled with its border's mean.

    An image that has the size already is returned pixel for pixel.
    """
    canvas = np.empty((spec.height, spec.width, spec.channels), np.uint8)
    canvas[:] = np.round(_border(_pixels(image)).mean(0))
    if image.size != (spec.width, spec.height):
        scale = min(spec.width / image.width, spec.height / image.height)
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.resize(size, Image.Resampling.BILINEAR)
    top, left = (spec.height - image.height) // 2, (spec.width - image.width) // 2
    canvas[top : top + image.height, left : left + image.width] = _pixels(image)
    return canvas


def _pixels(image: Image.Image) -> NDArray[np.uint8]:
    """(height, width, channels)"""
    pixels = np.asarray(image, np.uint8)
    return pixels.reshape(*pixels.shape[:2], -1)


def _border(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The outermost pixels, (n, channels)."""
    inner = np.zeros(pixels.shape[:2], bool)
    inner[1:-1, 1:-1] = True
    return pixels[~inner]
