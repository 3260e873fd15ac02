"""Bytes of an image -> pixels in the model's form: small files at once, others in threads beside the event loop."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import UInt8

from littoral.errors import ImageError
from littoral.images.decode import fit_to_spec, open_upright, size_of
from littoral.specs import ImageSpec

AT_ONCE = 64 * 64
"""Pixels up to which decoding takes less time than handing it to a thread."""

SMALL_FILE = 65_536
"""Bytes of a file that may be looked at on the event loop. A longer one may take seconds, however few its pixels."""

THREADS = 2


class Decoder:
    """Decodes within a limit of pixels; `close` when done. To be used inside `quiet_pillow` (images/decode.py)."""

    def __init__(self, most_pixels: int) -> None:
        self._most_pixels = most_pixels
        self._threads = ThreadPoolExecutor(THREADS, "decode")

    async def decode(self, content: bytes, spec: ImageSpec) -> UInt8[np.ndarray, "height width channels"]:
        """The image in the form of `spec`; raises ImageError, which says why it cannot be read."""
        if len(content) <= SMALL_FILE and self._pixels(content) <= AT_ONCE:
            return _decoded(content, spec)
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._within_limit, content, spec)

    def _within_limit(self, content: bytes, spec: ImageSpec) -> UInt8[np.ndarray, "height width channels"]:
        self._pixels(content)
        return _decoded(content, spec)

    def _pixels(self, content: bytes) -> int:
        """How many pixels there are, 0 where the head does not say; raises ImageError where there are too many."""
        height, width = size_of(content) or (0, 0)
        if height * width > self._most_pixels:
            raise ImageError(f"has {width}×{height} pixels, more than the limit of {self._most_pixels:,}")
        return height * width

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _decoded(content: bytes, spec: ImageSpec) -> UInt8[np.ndarray, "height width channels"]:
    return fit_to_spec(open_upright(content, spec.channels).image, spec)
