"""A trained network and stored images -> class probabilities, in batches."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import nn

from littoral.nn.inputs import to_input
from littoral.rows import ImageRows
from littoral.specs import ImageSpec

BATCH_SIZE = 250
"""Large enough to keep all cores busy on small images, small enough that a layer's maps stay near them (500 took 1.6
times as long for `article`)."""


def predict_probabilities(
    model: nn.Module, images: UInt8[np.ndarray, "n height width channels"] | ImageRows, spec: ImageSpec
) -> Float32[np.ndarray, "n classes"]:
    """Softmax of the logits, each row adding up to 1; runs where the model's weights are.

    The model is put into evaluation mode for the call and left in the mode it had.
    """
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            batches = [
                model(to_input(torch.tensor(images[start : start + BATCH_SIZE], device=device), spec))
                for start in range(0, max(len(images), 1), BATCH_SIZE)
            ]
            return torch.cat(batches).softmax(1).cpu().numpy()
    finally:
        model.train(was_training)
