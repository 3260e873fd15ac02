"""What the model says of an image, as the API gives it. The forms of answers, and outputs -> them."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float32
from pydantic import BaseModel, ConfigDict, Field

from littoral.serve.served import Outputs

DIGITS = 6
"""Of probabilities and novelty."""

SIDES = {"shallow": "shallow_probabilities", "deep": "deep_probabilities"}
"""The output that has the opinion of each side of the model."""


class Form(BaseModel):
    """What all forms share: a field that is not named here is a fault."""

    model_config = ConfigDict(extra="forbid")


class Opinion(Form):
    """What one side of the model alone takes the image for."""

    label: str = Field(examples=["3"])
    confidence: float = Field(ge=0, le=1, examples=[0.981])


class Ranked(Form):
    """A class and its probability."""

    label: str = Field(examples=["3"])
    probability: float = Field(ge=0, le=1, examples=[0.997])


class Explanation(Form):
    """How much the answer rests on each place of the image, by covering one after the other.

    Bits of evidence for the label that are lost when the place is covered, row by row: above 0 what lies there speaks
    for the label, below 0 against it. `image`: what the model saw, a PNG as a data URL.
    """

    rows: int
    columns: int
    image: str
    fused: list[list[float]]
    shallow: list[list[float]] | None
    deep: list[list[float]] | None


class Prediction(Form):
    """The answer for one image. Where `error` is not null the image could not be read, and the rest is null."""

    name: str | None = Field(description="File name, where the request had one.", examples=["digit.png"])
    label: str | None = Field(examples=["3"])
    confidence: float | None = Field(description="Calibrated probability of the label.", examples=[0.997])
    accepted: bool | None = Field(
        description="False: not sure, do not rely on the label. Null: this model was given no threshold.",
        examples=[True],
    )
    novelty: float | None = Field(
        description="How unlike the images trained on it is; about 1 for ordinary ones.", examples=[0.94]
    )
    top: list[Ranked] = Field(description="The most probable classes, as many as were asked for.")
    shallow: Opinion | None
    deep: Opinion | None
    exited: bool | None = Field(
        description="Of a split model: whether its first file was sure enough, and the second was not asked.",
        examples=[None],
    )
    explanation: Explanation | None
    error: str | None = Field(examples=[None])


class Predictions(Form):
    """One answer an image, in their order, and the version of the model that gave them all."""

    model: str = Field(description="Version: the beginning of the model file's SHA-256.", examples=["4f0c1d2e3a5b"])
    predictions: list[Prediction]


def prediction(
    outputs: Outputs, row: int, class_names: list[str], top: int, name: str | None, explanation: dict[str, Any] | None
) -> dict[str, Any]:
    """The answer for image `row` of a batch, in the form of `Prediction`, as JSON takes it."""
    probabilities = outputs["probabilities"][row]
    label = int(outputs["label"][row])
    best = [label] if top == 1 else np.argsort(-probabilities, kind="stable")[:top].tolist()
    accepted, novelty, left = outputs.get("accepted"), outputs.get("novelty"), outputs.get("exit")
    exited = None if left is None else bool(left[row])
    return {
        "name": name,
        "label": class_names[label],
        "confidence": share(probabilities[label]),
        "accepted": None if accepted is None else bool(accepted[row]),
        "novelty": None if novelty is None else round(float(novelty[row]), DIGITS),
        "top": [{"label": class_names[number], "probability": share(probabilities[number])} for number in best],
        **{
            side: None if exited or output not in outputs else _opinion(outputs[output][row], class_names)
            for side, output in SIDES.items()
        },
        "exited": exited,
        "explanation": explanation,
        "error": None,
    }


def failure(name: str | None, error: str) -> dict[str, Any]:
    """The answer for an image that could not be read, in the form of `Prediction`."""
    fields = dict.fromkeys(Prediction.model_fields)
    return {**fields, "name": name, "top": [], "error": error}


def share(probability: np.float32) -> float:
    """A probability as JSON gives it."""
    return min(round(float(probability), DIGITS), 1.0)


def _opinion(probabilities: Float32[np.ndarray, " classes"], class_names: list[str]) -> dict[str, Any]:
    label = int(probabilities.argmax())
    return {"label": class_names[label], "confidence": share(probabilities[label])}
