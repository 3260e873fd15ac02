"""In what two runs or studies differ, in words: for refusing to go on from another than the one asked for."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from littoral.words import shortened

SHOWN, LONGEST = 8, 80
"""Differences that are named one by one, the rest being counted; and characters of a value."""

OPTIONS = {
    "data_sha256": "the SHA-256 of the images",
    "littoral": "the version of littoral",
    "code": "the code of littoral",
    "torch": "the version of torch",
    "numpy": "the version of numpy",
    "onnxruntime": "the version of onnxruntime",
    "preset": "--preset",
    "recipe.epochs": "--epochs",
    "recipe.steps": "--steps",
    "recipe.balance": "--balance",
    "labels_per_class": "--labels-per-class",
    "workers": "--workers",
    "time_budget": "--time-budget",
    "threads": "--threads",
    "device": "--device",
    "seed": "--seed",
    "folds": "--folds",
    "limits.macs": "--max-macs",
    "limits.latency": "--max-latency",
    "limits.file": "--max-file",
}
"""What a person calls a field; any other goes by its own name."""


def differences(was: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The fields in which two nested mappings differ, such as `--epochs was 1, is 2`, in the order of `now`."""
    before, after = _flat(was), _flat(json.loads(json.dumps(now)))
    fields = [name for name in after | before if before.get(name) != after.get(name)]
    return [
        f"{OPTIONS.get(name, name)} was {_shown(before.get(name))}, is {_shown(after.get(name))}" for name in fields
    ]


def in_words(found: Sequence[str]) -> str:
    """What `differences` found, one after the other; of very many the first, and how many more."""
    more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return f"{'; '.join(found[:SHOWN])}{more}"


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return found


def _shown(value: Any) -> str:
    text = "not set" if value is None else str(value)
    return f"{text[:12]}…" if re.fullmatch(r"[0-9a-f]{64}", text) else shortened(text, LONGEST)
