"""The gate: an exported file has to answer as the trained model does, image by image, or it is not written.

Both start from decoded pixels of any size; the trained model's are brought to its form by `images/decode.py`, the
file's by the graph inside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image

from littoral.deploy.runtime import PIXELS, start
from littoral.errors import ExportError
from littoral.images.decode import fit_to_spec
from littoral.nn.calibrated import CalibratedNet
from littoral.nn.inputs import to_input
from littoral.specs import ImageSpec

MOST_APART = 1e-4
"""By how much a probability may differ."""

DOUBTFUL = 2e-4
"""Where torch's two best classes are closer than this, the label may be the other one; thresholds alike."""

MOST_NOVELTY_APART = 1e-3
"""By how much a novelty may differ, as a share of it."""

BATCH = 32
"""Images that are compared together, as far as they have no more than PIXELS: one's own come in their own size."""


@dataclass(frozen=True)
class TestImage:
    """Decoded pixels (height, width, 1 or 3), and what to call them."""

    __test__ = False  # to pytest, which takes names that begin so for tests

    name: str
    pixels: NDArray[np.uint8]


@dataclass(frozen=True)
class Parity:
    """`images` compared, of how many `forms`; the largest difference of a probability, and on which image."""

    images: int
    forms: int
    largest_difference: float
    worst: str


def require_parity(content: bytes, network: CalibratedNet, spec: ImageSpec, images: Sequence[TestImage]) -> Parity:
    """How well a file agrees with its model; raises ExportError, which names the worst image, where it does not.

    Every probability, of both sides too, within 1e-4; the label the same, and acceptance, unless torch is within 2e-4
    of the other; novelty within a thousandth of itself. What is no number agrees with nothing.
    """
    session = start(content, "the exported file")
    names = [output.name for output in session.get_outputs()]

    def run(pixels: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        return dict(zip(names, session.run(None, {"images": pixels}), strict=True))

    return require_agreement(run, network, spec, images)


def require_agreement(
    run: Callable[[NDArray[np.uint8]], Mapping[str, NDArray[np.float32]]],
    network: CalibratedNet,
    spec: ImageSpec,
    images: Sequence[TestImage],
) -> Parity:
    """The same of what `run` answers, by the names of the outputs of an exported file."""
    worst, found, faults = -1.0, "", []
    for batch in alike(images):
        pixels = np.stack([image.pixels for image in batch])
        file = run(pixels)
        model = torch_outputs(network, np.stack([fitted(image.pixels, spec) for image in batch]), spec)
        apart = np.zeros(len(batch))
        for name in (name for name in model if name.endswith("probabilities")):
            apart = np.maximum(apart, np.abs(file[name] - model[name]).max(1))
        other = _other_answers(file, model, network)
        wrong: NDArray[np.bool_] = np.any([~(apart <= MOST_APART), *other.values()], axis=0)
        if wrong.any():
            order = int(np.where(wrong, apart + 1, apart).argmax())
            told = [
                f"{name} is {file[name][order]:g} in place of {model[name][order]:g}"
                for name, those in other.items()
                if those[order] and name in model
            ]
            faults.append((float(apart[order]), batch[order].name, told))
        if apart.max() > worst:
            worst, found = float(apart.max()), batch[int(apart.argmax())].name
    if faults:
        difference, name, told = max(faults)
        others = "".join(f"{it}; " for it in told)
        raise ExportError(
            f"the exported file disagrees with the model, most on {name}: probabilities differ by {difference:.2g}, "
            f"expected {MOST_APART:g} at most and the same answer; {others}nothing was written"
        )
    return Parity(len(images), len({image.pixels.shape for image in images}), worst, found)


def torch_outputs(network: CalibratedNet, pixels: NDArray[np.uint8], spec: ImageSpec) -> dict[str, NDArray[np.float32]]:
    """What the network itself answers to images of its form, by the names of the file's outputs."""
    with torch.inference_mode():
        answer = network(to_input(torch.from_numpy(pixels), spec))
    return {name: value.numpy() for name, value in answer._asdict().items() if value is not None}


def fitted(pixels: NDArray[np.uint8], spec: ImageSpec) -> NDArray[np.uint8]:
    """Decoded pixels of any size in a model's form, by the reference way."""
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    return fit_to_spec(image.convert("L" if spec.channels == 1 else "RGB"), spec)


def _other_answers(
    file: Mapping[str, NDArray[np.float32]], model: dict[str, NDArray[np.float32]], network: CalibratedNet
) -> dict[str, NDArray[np.bool_]]:
    """Which images have another label, another novelty or another acceptance, and not for want of a clear one."""
    probabilities = model["probabilities"]
    second, best = np.sort(probabilities, axis=1)[:, -2:].T
    other = {"label": (file["label"] != probabilities.argmax(1)) & (best - second >= DOUBTFUL)}
    clear = np.ones(len(best), bool)
    thresholds = network.calibration
    if thresholds is not None and thresholds.least_confidence is not None:
        clear &= np.abs(best - thresholds.least_confidence) >= DOUBTFUL
    if "novelty" in model:
        reach = MOST_NOVELTY_APART * np.maximum(np.abs(model["novelty"]), 1)
        other["novelty"] = ~(np.abs(file["novelty"] - model["novelty"]) <= reach)
        if thresholds is not None and thresholds.most_novelty is not None:
            clear &= np.abs(model["novelty"] - thresholds.most_novelty) >= reach
    if "accepted" in model:
        other["accepted"] = (file["accepted"] != model["accepted"]) & clear
    return other


def alike(images: Sequence[TestImage]) -> Iterator[list[TestImage]]:
    """Batches of images of one shape."""
    groups: dict[tuple[int, ...], list[TestImage]] = {}
    for image in images:
        groups.setdefault(image.pixels.shape, []).append(image)
    for group in groups.values():
        height, width = group[0].pixels.shape[:2]
        most = max(1, min(BATCH, PIXELS // (height * width)))
        for start_ in range(0, len(group), most):
            yield group[start_ : start_ + most]


def odd_images(spec: ImageSpec, count: int, like: NDArray[np.uint8] | None = None) -> list[TestImage]:
    """Images of many sizes, grey and colour: one pixel, one row, one column, smaller, larger, and the right size.

    `like` (n, height, width, channels): parts and multiples of these, so that the model meets what it knows; without
    them, smooth random ones. The same each time.
    """
    rng = np.random.default_rng(0)
    h, w = spec.height, spec.width
    sizes = [(1, 1), (1, w + 3), (h + 3, 1), (h, w), (2 * h, 2 * w), (h, 2 * w + 1), (3 * h + 1, w), (2, 2)]
    sizes += [(int(a), int(b)) for a, b in np.exp(rng.uniform(0, np.log(4 * max(h, w)), (count, 2))).round()]
    images = []
    for number, (high, wide) in enumerate(sizes[:count]):
        channels = (1, 3)[number % 2]
        source = _smooth(rng) if like is None else like[number % len(like)]
        picture = Image.fromarray(source[:, :, 0] if source.shape[2] == 1 else source)
        picture = picture.convert("L" if channels == 1 else "RGB").resize((wide, high), Image.Resampling.BICUBIC)
        pixels = np.asarray(picture).reshape(high, wide, channels)
        images.append(TestImage(f"image {number} of {high}×{wide} pixels, {('grey', 'colour')[number % 2]}", pixels))
    return images


def _smooth(rng: np.random.Generator) -> Float[np.ndarray, "8 8 3"]:
    return rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
