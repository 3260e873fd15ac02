"""Bytes of an image -> pixels in the model's form: small images at once, others in threads beside the event loop."""

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

THREADS = 2


class Decoder:
    """Decodes within a limit of pixels; `close` when done. To be used inside `quiet_pillow` (images/decode.py)."""

    def __init__(self, most_pixels: int) -> None:
        self._most_pixels = most_pixels
        self._threads = ThreadPoolExecutor(THREADS, "decode")

    async def decode(self, content: bytes, spec: ImageSpec) -> UInt8[np.ndarray, "height width channels"]:
        """The image in the form of `spec`; raises ImageError, which says why it cannot be read."""
        size = size_of(content)
        if size is not None and size[0] * size[1] > self._most_pixels:
            raise ImageError(f"has {size[1]}×{size[0]} pixels, more than the limit of {self._most_pixels:,}")
        if size is None or size[0] * size[1] <= AT_ONCE:
            return _decoded(content, spec)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, _decoded, content, spec)

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _decoded(content: bytes, spec: ImageSpec) -> UInt8[np.ndarray, "height width channels"]:
    return fit_to_spec(open_upright(content, spec.channels)[0], spec)
