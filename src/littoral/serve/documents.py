"""What the OpenAPI document says beside the forms of answers: bodies with examples, problems, the model."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from pydantic import Field

from littoral.serve.answers import Form
from littoral.serve.bodies import EncodedImages
from littoral.serve.problems import MEDIA_TYPE


class ProblemDocument(Form):
    """What went wrong (RFC 9457)."""

    type: str = Field(examples=["about:blank"])
    title: str = Field(examples=["Unprocessable Content"])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["the image is empty (0 bytes)"])


class Spec(Form):
    """The images that the model was trained with; others are brought to this form."""

    height: int
    width: int
    channels: int = Field(description="1 (grey) or 3 (colour).")
    mean: list[float]
    std: list[float]
    resize: str = Field(description="pad, stretch or crop.")
    value_range: list[float]


class TestResult(Form):
    """How the model did on images that it was not trained on."""

    accuracy: float
    n: int
    ci95: list[float] = Field(description="Wilson's interval.")


class LimitsAbout(Form):
    """What a request may have."""

    request_bytes: int
    images: int
    pixels: int


class ModelAbout(Form):
    """The model that answers."""

    version: str = Field(examples=["4f0c1d2e3a5b"])
    class_names: list[str]
    image: Spec
    test: TestResult | None
    licence: str
    record: dict[str, Any] = Field(description="How it was made, as the model file says.")
    limits: LimitsAbout


_TINY = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
_BINARY = {"schema": {"type": "string", "format": "binary"}}

BODIES: dict[str, Any] = {
    "required": True,
    "content": {
        "image/png": _BINARY,
        "image/jpeg": _BINARY,
        "application/octet-stream": _BINARY,
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {
                    "image": {"type": "array", "minItems": 1, "items": {"type": "string", "format": "binary"}}
                },
                "required": ["image"],
                "additionalProperties": False,
            }
        },
        "application/json": {
            "schema": EncodedImages.model_json_schema(),
            "examples": {"one grey pixel": {"value": {"images": [_TINY]}}},
        },
    },
}
"""The bodies that /v1/predict takes."""


def problems(*statuses: int, locked: bool = False) -> dict[int | str, dict[str, Any]]:
    """Answers of a route that are problems; `locked`: 401 too."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": ProblemDocument.model_json_schema()}},
        }
        for status in (*statuses, *([401] if locked else []))
    }
