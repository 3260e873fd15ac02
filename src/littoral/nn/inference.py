"""A trained network and stored images -> class probabilities, or features, in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, UInt8
from torch import Tensor, nn

from littoral.errors import InputError
from littoral.nn.calibrated import Answer, CalibratedNet
from littoral.nn.fusion.concat import concatenated
from littoral.nn.inputs import to_input
from littoral.nn.layers import unflattened
from littoral.nn.model import FusionNet
from littoral.nn.onnx_session import in_sessions
from littoral.rows import ImageRows
from littoral.specs import ImageSpec

BATCH_SIZE, BATCH_NUMBERS = 250, 20_000_000
"""Images, and numbers in them, that are looked at together: enough to keep all cores busy on small images, few enough
that a layer's maps stay near them (500 took 1.6 times as long for `article`) and that large images, of which some
branches hold thirty times as much, fit into a laptop. From 164×164 pixels in colour on there are fewer than 250."""


def batch_size(spec: ImageSpec) -> int:
    """How many images of this form are looked at together."""
    return max(1, min(BATCH_SIZE, BATCH_NUMBERS // (spec.height * spec.width * spec.channels)))


def predict_probabilities(
    model: nn.Module, images: UInt8[np.ndarray, "n height width channels"] | ImageRows, spec: ImageSpec
) -> Float32[np.ndarray, "n classes"]:
    """Softmax of the logits, each row adding up to 1; runs where the model's weights are.

    The model is put into evaluation mode for the call and left in the mode it had.
    """
    with _evaluating(model):
        return torch.cat([model(x) for x in _batches(model, images, spec)]).softmax(1).cpu().numpy()


@dataclass(frozen=True)
class Answers:
    """An `Answer` of CalibratedNet for many images, as arrays."""

    probabilities: Float32[np.ndarray, "n classes"]
    shallow_probabilities: Float32[np.ndarray, "n classes"] | None
    deep_probabilities: Float32[np.ndarray, "n classes"] | None
    novelty: Float32[np.ndarray, " n"] | None
    accepted: Bool[np.ndarray, " n"] | None


def predict_answers(
    net: CalibratedNet, images: UInt8[np.ndarray, "n height width channels"] | ImageRows, spec: ImageSpec
) -> Answers:
    """All that a calibrated network says of these images; mode and place as above.

    Raises InputError where its probabilities are no numbers.
    """
    with _evaluating(net), in_sessions(net, len(images)):
        return _answers([net(x) for x in _batches(net, images, spec)])


def answers_from_vectors(net: CalibratedNet, vectors: Float32[np.ndarray, "n size"]) -> Answers:
    """The same for images whose `branch_vectors` are known; raises as that does."""
    specs = net.network.config.fused_specs()
    ends = np.cumsum([spec.size for spec in specs.values()])
    with _evaluating(net):
        given = torch.tensor(vectors, device=next(net.network.parameters()).device)
        parts = torch.tensor_split(given, ends[:-1].tolist(), dim=1)
        shaped = [unflattened(part, spec.shape) for part, spec in zip(parts, specs.values(), strict=True)]
        return _answers([net.answer(dict(zip(specs, shaped, strict=True)))])


def _answers(answers: Sequence[Answer]) -> Answers:
    columns, *others = zip(*answers, strict=True)
    probabilities = torch.cat(columns).cpu().numpy()
    if not np.isfinite(probabilities).all():
        raise InputError("the model's answers are no numbers, so that it is of no use: train it again")
    return Answers(probabilities, *(_joined(column) for column in others))


def _joined(parts: Sequence[Tensor | None]) -> np.ndarray | None:
    return None if parts[0] is None else torch.cat([part for part in parts if part is not None]).cpu().numpy()


def branch_vectors(
    model: FusionNet, images: UInt8[np.ndarray, "n height width channels"] | ImageRows, spec: ImageSpec
) -> Float32[np.ndarray, "n size"]:
    """The features of all fused branches, flattened and one after the other; mode and place as above."""
    size = sum(feature.size for feature in model.config.fused_specs().values())
    vectors = np.empty((len(images), size), np.float32)  # in one piece: many small ones would break the memory up
    done = 0
    with _evaluating(model), in_sessions(model):
        for x in _batches(model, images, spec):
            vectors[done : done + len(x)] = concatenated(list(model.branch_features(x).values())).cpu().numpy()
            done += len(x)
    return vectors


def predict_from_vectors(model: FusionNet, vectors: Float32[np.ndarray, "n size"]) -> Float32[np.ndarray, "n classes"]:
    """The class probabilities of images whose `branch_vectors` are known, of a model with concat fusion; as above.

    Raises InputError for a model of another kind, or for vectors of another size.
    """
    config = model.config
    size = sum(spec.size for spec in config.fused_specs().values())
    if model.head is None or config.fusion.type != "concat" or config.branch_heads or vectors.shape[1] != size:
        raise InputError(
            f"a head alone answers from the {size} numbers that concat fusion gives it, got {vectors.shape[1]} and "
            f"{config.fusion.type} fusion, branch_heads={config.branch_heads}"
        )
    with _evaluating(model):
        logits: Tensor = model.head(torch.tensor(vectors, device=next(model.parameters()).device))
        return logits.softmax(1).cpu().numpy()


def predict_opinions(
    model: FusionNet, images: UInt8[np.ndarray, "n height width channels"] | ImageRows, spec: ImageSpec
) -> Float32[np.ndarray, "heads n classes"]:
    """The log-probabilities that each head gives, in the order of `opinions`; mode and place as above."""
    with _evaluating(model):
        opinions = [torch.stack(list(model.opinions(x).values())) for x in _batches(model, images, spec)]
        return torch.cat(opinions, dim=1).log_softmax(2).cpu().numpy()


def predict_with_heads(
    model: FusionNet, images: UInt8[np.ndarray, "n height width channels"] | ImageRows, spec: ImageSpec
) -> tuple[Float32[np.ndarray, "n classes"], dict[str, Float32[np.ndarray, "n classes"]]]:
    """The model's probabilities, those of `predict_probabilities` to the bit, and those of each head alone, by name.

    A model with one head has none beside its answer. Mode and place as above.
    """
    with _evaluating(model):
        opinions = [model.opinions(x) for x in _batches(model, images, spec)]
        answers = torch.cat([model.combined(batch) for batch in opinions]).softmax(1).cpu().numpy()
        heads = {name: torch.cat([batch[name] for batch in opinions]).softmax(1).cpu().numpy() for name in opinions[0]}
        return answers, heads if len(heads) > 1 else {}


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(was_training)


def _batches(
    model: nn.Module, images: UInt8[np.ndarray, "n height width channels"] | ImageRows, spec: ImageSpec
) -> Iterator[Float[Tensor, "batch channels height width"]]:
    """What the network takes, batch by batch; one empty batch where there is no image."""
    device = next(model.parameters()).device
    size = batch_size(spec)
    for start in range(0, max(len(images), 1), size):
        yield to_input(torch.tensor(images[start : start + size], device=device), spec)
