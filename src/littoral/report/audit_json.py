"""An Audit, and maybe a study of its labels -> plain values for JSON; docs/json.md lists the fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from littoral.images.audit import Audit, Item, Odd

if TYPE_CHECKING:
    from littoral.studies.label_errors import LabelErrors

SCHEMA = 1
"""Version of what `audit_json` gives."""


def audit_json(audit: Audit, study: LabelErrors | None = None) -> dict[str, Any]:
    """All that was found. `suspects` is null where labels were not judged."""
    equal = [cluster for cluster in audit.clusters if cluster.kind == "exact"]
    return {
        "schema": SCHEMA,
        "data": audit.source,
        "images": audit.images,
        "skipped": audit.skipped,
        "form": list(audit.form) if audit.images else None,
        "median": None if audit.median is None else list(audit.median),
        "modes": dict(audit.modes),
        "grey": audit.grey,
        "classes": [
            {"name": found.name, "images": found.images, "unreadable": found.unreadable, "parts": dict(found.parts)}
            for found in audit.classes
        ],
        "imbalance": audit.imbalance,
        "groups_across": audit.groups_across,
        "unreadable": [{"path": name, "error": reason} for name, reason in audit.unreadable],
        "duplicates": {
            "exact": len(equal),
            "near": len(audit.clusters) - len(equal),
            "declined": audit.declined or None,
            "clusters": [
                {"kind": cluster.kind, "where": cluster.where, "images": [_item(item) for item in cluster.items]}
                for cluster in audit.clusters
            ],
        },
        "blank": [_item(item) for item in audit.blank],
        "firsts": [_item(item) for item in audit.firsts],
        "odd_sizes": _odd(audit.odd_sizes),
        "odd_modes": _odd(audit.odd_modes),
        "suspects": None if study is None else _suspects(study),
        "label_study": None if study is None else _study(study),
    }


def _item(item: Item) -> dict[str, Any]:
    return {"path": item.name, "label": item.label, "part": item.part or None}


def _odd(odd: tuple[Odd, ...]) -> list[dict[str, Any]]:
    return [_item(found.item) | {"reason": found.reason} for found in odd]


def _suspects(study: LabelErrors) -> list[dict[str, Any]]:
    return [
        _item(found.item)
        | {"suggested": found.suggested, "confidence": round(found.confidence, 6), "score": round(found.score, 6)}
        for found in study.suspects
    ]


def _study(study: LabelErrors) -> dict[str, Any]:
    return {
        "learnt": study.learnt,
        "accuracy": study.accuracy,
        "ci95": list(study.ci95),
        "n": study.n,
        "majority": study.majority,
        **study.record,
    }
