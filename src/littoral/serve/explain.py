"""Where an answer looks: places of the image are covered one after the other, and the model is asked again each time.

The runtime has no gradients, so this is what there is. The method is that of `studies/occlusion.py`.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from littoral.serve.answers import SIDES
from littoral.serve.served import Images, Outputs
from littoral.studies.occlusion import covered, evidence

Ask = Callable[[Images], Awaitable[Outputs]]

DIGITS = 2
"""Of bits of evidence."""


async def explanation(
    ask: Ask, image: UInt8[np.ndarray, "height width channels"], label: int, at_once: int
) -> dict[str, Any]:
    """In the form of `answers.Explanation`: what class `label` loses in each place. `at_once`: images in one call."""
    variants, (rows, columns) = covered(image)
    images = np.concatenate([image[None], variants])
    parts = [await ask(images[start : start + at_once]) for start in range(0, len(images), at_once)]
    found: dict[str, Any] = {"rows": rows, "columns": columns, "image": _as_url(image)}
    for name, output in {"fused": "probabilities", **SIDES}.items():
        if output not in parts[0]:
            found[name] = None
            continue
        bits = evidence(np.concatenate([part[output] for part in parts]), label)
        found[name] = (bits[0] - bits[1:]).reshape(rows, columns).round(DIGITS).tolist()
    return found


def _as_url(image: UInt8[np.ndarray, "height width channels"]) -> str:
    written = io.BytesIO()
    Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).save(written, "PNG")
    return f"data:image/png;base64,{base64.b64encode(written.getvalue()).decode()}"
