"""Bytes of an image file -> the uint8 image that a model takes. The project's only decoding and only resize.

JPEG, PNG, BMP, GIF, TIFF and WebP, through Pillow. The EXIF orientation is applied, transparency is laid over white,
16-bit pixels are scaled (not clipped) to 8 bits, of several frames or pages the first is taken.
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
import struct
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from PIL.TiffImagePlugin import TiffImageFile
from simplejpeg import decode_jpeg, decode_jpeg_header

from littoral.errors import ImageError
from littoral.specs import ImageSpec

MAX_PIXELS = 100_000_000
"""Larger images are refused before they are unpacked: a small file can claim to hold gigabytes of pixels."""

UNREADABLE = "cannot be read"
"""How the reason begins where the system, and not the content, is why there is no image."""

MAX_BYTES = 8 * MAX_PIXELS
"""Larger files are refused before they are read."""

ORIENTATION = 0x0112
"""The EXIF tag that says how a picture was turned."""

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What puts a picture of each orientation upright; any other needs nothing."""

JPEG_START, ORIENTED = b"\xff\xd8\xff", (b"Exif\0", b"http://ns.adobe.com/xap/")
"""How a JPEG begins, and what stands in one that may say that the picture is turned."""

SCAN = b"\xff\xda"
"""How a scan of a JPEG begins. In coded data 0xFF is always followed by 0, so these are scans and little else: one
place in 65,000 of what is not coded so, such as a film that a telephone has put behind the picture."""

MAX_SCANS = 500
"""JPEGs of more scans are refused: each takes as long as the picture is large, and is 42 bytes. Ten are usual."""

PNG_START = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
"""How a PNG begins, up to its width and height."""

READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""How a file is opened: not blocking, since a pipe would wait for its other end. Windows has the last flag alone."""

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP")

MOVING = ("PNG", "GIF", "TIFF", "WEBP")
"""Those that may hold several pictures. In a JPEG there are previews and the like: one picture."""

PHOTOMETRIC, WHITE_IS_ZERO = 262, 0
"""The TIFF tag that says what the numbers of its pixels mean, and the value of what is black on white."""


@dataclass(frozen=True)
class Upright:
    """A decoded picture in L or RGB, upright, in its own size.

    `mode`: that in the file, in Pillow's words: "RGB", "CMYK", "I;16", …; "LA", "PA" and "RGBA" have transparent parts,
    in whatever way the file says so. `first`: whether the file holds further frames or pages, which are not read.
    """

    image: Image.Image
    mode: str
    first: bool = False


def decode_file(path: Path | str, spec: ImageSpec) -> NDArray[np.uint8]:
    """The image file at `path` as (height, width, channels) uint8 in the form of `spec`; raises ImageError."""
    return decode_bytes(read_bytes(path), spec)


def decode_bytes(content: bytes, spec: ImageSpec) -> NDArray[np.uint8]:
    """An encoded image as (height, width, channels) uint8 in the form of `spec`.

    Raises ImageError, in one phrase, for bytes that are no image, are cut short, or hold over MAX_PIXELS pixels.
    """
    with quiet_pillow():
        return fit_to_spec(open_upright(content, spec.channels).image, spec)


def read_bytes(path: Path | str) -> bytes:
    """The content of a file; raises ImageError, also for a folder, a pipe or a device."""
    try:
        file = os.open(path, READ)
        try:
            about = os.fstat(file)
            if not stat.S_ISREG(about.st_mode):
                raise ImageError("is no file, but a folder, a pipe or a device")
            if about.st_size > MAX_BYTES:
                raise ImageError(f"has {about.st_size:,} bytes, more than the limit of {MAX_BYTES:,}")
            content = os.read(file, about.st_size)
            while len(content) < about.st_size and (more := os.read(file, about.st_size - len(content))):
                content += more
            return content
        finally:
            os.close(file)
    except OSError as error:
        raise ImageError(f"{UNREADABLE}: {error.strerror}") from error
    except ImageError:
        raise
    except ValueError as error:  # a NUL in the name
        raise ImageError("has a name that no file can have") from error


def open_upright(content: bytes, channels: int) -> Upright:
    """An encoded image in L (1 channel) or RGB (3), turned as its EXIF orientation says, in its own size.

    To be called inside `quiet_pillow`. Raises ImageError as `decode_bytes`.
    """
    if not content:
        raise ImageError("is empty (0 bytes)")
    if content.startswith(JPEG_START) and (scans := content.count(SCAN)) > MAX_SCANS:
        raise ImageError(f"is a JPEG of {scans:,} scans, more than the limit of {MAX_SCANS}")
    try:
        plain = _plain_jpeg(content, channels)
        if plain is not None:
            return plain
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ImageError(f"has {image.width}×{image.height} pixels, more than the limit of {MAX_PIXELS:,}")
            first = image.format in MOVING and _has_more(content)
            image.load()
            own = _own_mode(image)
            upright = _turned(image)
            if upright.mode.startswith("I") or upright.mode == "F":
                upright = _scaled_to_8_bits(upright, is_png=image.format == "PNG")
                if isinstance(image, TiffImageFile) and image.tag_v2.get(PHOTOMETRIC) == WHITE_IS_ZERO:
                    upright = ImageOps.invert(upright)  # as Pillow does where there are 8 bits
            return Upright(_to_mode(upright, "L" if channels == 1 else "RGB"), own, first)
    except (ImageError, MemoryError):  # the latter says nothing of the image
        raise
    except Image.DecompressionBombError as error:
        raise ImageError(f"has more pixels than the limit of {MAX_PIXELS:,}") from error
    except Exception as error:  # Pillow's parsers raise many kinds (OSError, SyntaxError, struct.error, …) on bad bytes
        raise ImageError("is not a readable JPEG, PNG, BMP, GIF, TIFF or WebP image, or is cut short") from error


def _has_more(content: bytes) -> bool:
    """Whether there is a second frame or page that can be read. One that looks there and comes back may have lost its
    palette, so that it is never the one whose pixels are taken."""
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            image.seek(1)
    except Exception:  # EOFError where there is none, and others where it is damaged, which is no matter
        return False
    return True


def _turned(image: Image.Image) -> Image.Image:
    """The picture as its EXIF orientation says; damaged data say nothing, and the pixels are whole.

    ImageOps.exif_transpose would also write the data anew, which fails where any other tag is odd.
    """
    try:
        turn = TURNS.get(image.getexif().get(ORIENTATION, 1))
    except Exception:  # of many kinds, as from the pixels
        return image
    return image if turn is None else image.transpose(turn)


def _plain_jpeg(content: bytes, channels: int) -> Upright | None:
    """As `open_upright`, for a JPEG that needs no more than decoding; None for others, and for what is no whole JPEG.

    libjpeg-turbo called without Pillow around it gives the same pixels, and takes a third of the time where files are
    small. Grey from colour, turned pictures, CMYK and damage are left to Pillow, so that there is one way for each.
    """
    if not content.startswith(JPEG_START) or any(mark in content for mark in ORIENTED):
        return None
    try:
        height, width, colours, _ = decode_jpeg_header(content)
        if height * width > MAX_PIXELS or not (colours == "Gray" or (colours == "YCbCr" and channels == 3)):
            return None
        pixels: NDArray[np.uint8] = decode_jpeg(content, "GRAY" if channels == 1 else "RGB")
    except ValueError:
        return None
    return Upright(Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels), "L" if colours == "Gray" else "RGB")


def size_of(content: bytes) -> tuple[int, int] | None:
    """(height, width) of an upright image from its head alone; None where there is no head. Inside `quiet_pillow`.

    An orientation that stands behind a PNG's pixels is not looked for: they would have to be unpacked first.
    """
    try:
        with contextlib.suppress(ValueError):
            if content.startswith(JPEG_START) and not any(mark in content for mark in ORIENTED):
                height, width, _, _ = decode_jpeg_header(content)
                return height, width
        # another head would be what counts, and eXIf may say that the picture is turned
        if content.startswith(PNG_START) and content.count(b"IHDR") == 1 and b"eXIf" not in content:
            width, height = struct.unpack_from(">II", content, len(PNG_START))
            return height, width
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            height, width = image.height, image.width
            with contextlib.suppress(Exception):  # damaged EXIF does not make a large image small
                # not image.getexif(), which for a PNG unpacks all pixels
                if Image.Image.getexif(image).get(ORIENTATION, 1) in (5, 6, 7, 8):
                    return width, height
            return height, width
    except MemoryError:
        raise
    except Exception:  # of many kinds, on bad bytes; decoding will name the reason
        return None


@contextlib.contextmanager
def quiet_pillow() -> Iterator[None]:
    """Pillow warns of what is decided here: the size limit, odd metadata. Entered once for many images: it is slow."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _own_mode(image: Image.Image) -> str:
    if image.mode.startswith("I"):
        return "I;16"  # others of these modes are refused, see `_scaled_to_8_bits`
    return f"{image.mode}A" if "transparency" in image.info and image.mode in ("L", "P", "RGB") else image.mode


def _scaled_to_8_bits(image: Image.Image, is_png: bool) -> Image.Image:
    """Grey pixels of 16 bits -> 8 bits; others are refused, since nothing tells their range."""
    # some versions of Pillow hold a 16-bit PNG as 32-bit integers; a TIFF can hold 32 bits of its own
    if not (image.mode.startswith("I;16") or (image.mode == "I" and is_png)):
        raise ImageError("has float or 32-bit pixels, whose range is unknown; convert it to 8 or 16 bits")
    return Image.fromarray(np.round(np.asarray(image) / 257.0).astype(np.uint8))  # 65535 / 255 = 257


def _to_mode(image: Image.Image, mode: str) -> Image.Image:
    """Any Pillow mode of 8 bits or fewer -> L or RGB."""
    if image.mode == mode and "transparency" not in image.info:
        return image
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    if image.mode == "LAB":  # Pillow knows no way from it to L
        image = image.convert("RGB")
    return image.convert(mode)


def fit_to_spec(image: Image.Image, spec: ImageSpec) -> NDArray[np.uint8]:
    """Bring an L or RGB image to the spec's size, antialiased, in the spec's way (see ImageSpec).

    An image that has the size already is returned pixel for pixel.
    """
    width, height = image.size
    if (height, width) == (spec.height, spec.width):
        return _pixels(image)
    if spec.resize == "stretch":
        return _pixels(_resized(image, (spec.width, spec.height)))
    if spec.resize == "crop":
        scale = max(spec.width / width, spec.height / height)
        left, top = max(0.0, (width - spec.width / scale) / 2), max(0.0, (height - spec.height / scale) / 2)
        return _pixels(_resized(image, (spec.width, spec.height), left, top))
    scale = min(spec.width / width, spec.height / height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    canvas = np.empty((spec.height, spec.width, spec.channels), np.uint8)
    canvas[:] = np.round(_border(_pixels(image)).mean(0))
    pixels = _pixels(_resized(image, size))
    top, left = (spec.height - size[1]) // 2, (spec.width - size[0]) // 2
    canvas[top : top + size[1], left : left + size[0]] = pixels
    return canvas


def _resized(image: Image.Image, size: tuple[int, int], left: float = 0.0, top: float = 0.0) -> Image.Image:
    """To (width, height), without so much of the image at the left and right, and at the top and bottom.

    Across first, then down, each rounded to a level. Pillow would choose which is first, some of its versions by what
    is cheaper; said here, the pixels are the same with all of them, and those of an exported model too.

    Raises ImageError where what lies between is of more than MAX_PIXELS: a long thin image that is made much broader.
    """
    width, height = image.size
    if size[0] * height > MAX_PIXELS:
        raise ImageError(f"has {width}×{height} pixels, too long and thin for {size[0]}×{size[1]}")
    across = image.resize((size[0], height), Image.Resampling.BILINEAR, box=(left, 0, width - left, height))
    return across.resize(size, Image.Resampling.BILINEAR, box=(0, top, size[0], height - top))


def _pixels(image: Image.Image) -> NDArray[np.uint8]:
    """(height, width, channels) of an L or RGB image."""
    return np.frombuffer(image.tobytes(), np.uint8).reshape(image.height, image.width, -1)


def _border(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The outermost pixels, (n, channels), each once."""
    sides = [pixels[0], pixels[1:, -1]]
    if len(pixels) > 1:
        sides.append(pixels[-1, :-1])
    if pixels.shape[1] > 1:
        sides.append(pixels[1:-1, 0])
    return np.concatenate(sides)
