"""Which unlabelled images to label next: those on which the shallow and the deep network disagree.

Query by committee (Seung, Opper, Sompolinsky 1992, doi:10.1145/130385.130417): where both say the same, a label would
teach little; where they differ, one of them is wrong.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import log
from typing import Any

import numpy as np
from jaxtyping import Float, Float64, Int64
from scipy.special import rel_entr

LISTED = 100
"""Images that the JSON lists; the table in the folder has all."""


@dataclass(frozen=True)
class Contested:
    """An image without a label, and what each network takes it for, with its probability (0 to 1).

    `row`: its number in what the images came from; `path`: None where they came from no files. `disagreement`: in bits,
    0 to 1.
    """

    row: int
    path: str | None
    shallow: str
    shallow_confidence: float
    deep: str
    deep_confidence: float
    disagreement: float


@dataclass(frozen=True)
class LabelNext:
    """Of `pool` images, those that the two take for different classes; the greatest disagreement first."""

    pool: int
    images: tuple[Contested, ...]

    def to_json(self) -> dict[str, Any]:
        """The numbers of images, and the first hundred that are contested."""
        listed = [asdict(image) for image in self.images[:LISTED]]
        return {"pool": self.pool, "disagreed": len(self.images), "images": listed}

    def to_csv(self) -> str:
        """All that are contested, a line each after the headings."""
        text = io.StringIO()
        writer = csv.DictWriter(text, list(Contested.__dataclass_fields__), lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(image) for image in self.images)
        return text.getvalue()


def disagreement(
    one: Float[np.ndarray, "n classes"], other: Float[np.ndarray, "n classes"]
) -> Float64[np.ndarray, " n"]:
    """Jensen–Shannon divergence of two opinions (rows of probabilities), in bits: 0 where equal, 1 at most."""
    p, q = one.astype(np.float64), other.astype(np.float64)
    middle = (p + q) / 2
    bits: Float64[np.ndarray, " n"] = (rel_entr(p, middle) + rel_entr(q, middle)).sum(1) / (2 * log(2))
    return bits.clip(0, 1)


def label_next(
    shallow: Float[np.ndarray, "n classes"],
    deep: Float[np.ndarray, "n classes"],
    rows: Int64[np.ndarray, " n"],
    names: Sequence[str],
    class_names: Sequence[str],
) -> LabelNext:
    """The images on which the most probable classes differ. `names`: by row; none: the images came from no files."""
    first, second, bits = shallow.argmax(1), deep.argmax(1), disagreement(shallow, deep)
    found = np.flatnonzero(first != second)
    return LabelNext(
        len(rows),
        tuple(
            Contested(
                row=int(rows[number]),
                path=_printable(names[rows[number]]) if names else None,
                shallow=class_names[first[number]],
                shallow_confidence=float(shallow[number].max()),
                deep=class_names[second[number]],
                deep_confidence=float(deep[number].max()),
                disagreement=float(bits[number]),
            )
            for number in found[np.argsort(-bits[found], kind="stable")]
        ),
    )


def _printable(name: str) -> str:
    return os.fsencode(name).decode("utf-8", "backslashreplace")  # any file name can be written
