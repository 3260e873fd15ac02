"""What a server says of its model: classes, images, result and record."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from littoral.serve.served import Served
from littoral.serve.settings import Limits


def model_about(served: Served, limits: Limits) -> dict[str, Any]:
    """In the form of `documents.ModelAbout`."""
    record = served.record
    test = record.get("test")
    return {
        "version": served.version,
        "class_names": served.model.class_names,
        "image": asdict(served.spec),
        "test": None if test is None else {name: test[name] for name in ("accuracy", "n", "ci95")},
        "licence": served.model.metadata["licence"],
        "record": record,
        "limits": {"request_bytes": limits.request_bytes, "images": limits.images, "pixels": limits.pixels},
    }
