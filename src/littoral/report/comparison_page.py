"""What `comparison_summary` tells -> one HTML file that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from littoral.report.comparison_confusions import confusion_part
from littoral.report.comparison_parts import (
    arms_part,
    calibration_part,
    classes_part,
    cost_part,
    differences_part,
    made_part,
)
from littoral.report.comparison_pictures import branches_part, looks_part, mistakes_part
from littoral.report.study_page import study_page
from littoral.report.study_style import SCRIPT
from littoral.words import listed

PARTS = (
    ("differences", "Differences", differences_part),
    ("arms", "Arms", arms_part),
    ("cost", "Cost", cost_part),
)
PARTS_OF_RUNS = (
    ("classes", "Classes", classes_part),
    ("confusion", "Confusions", confusion_part),
    ("mistakes", "Mistakes", mistakes_part),
    ("branches", "Branches", branches_part),
    ("looks", "Where they look", looks_part),
    ("calibration", "Calibration", calibration_part),
)
"""The parts of the page in their order, the latter where the runs are there: where a link leads, what it says, and what
makes the part, maybe empty."""

LAST = (("record", "How it was made", made_part),)


def comparison_page(summary: Mapping[str, Any]) -> str:
    """The page as text; the same summary gives the same page."""
    parts = (*PARTS, *(PARTS_OF_RUNS if summary["of_runs"] else ()), *LAST)
    arms, pictures = listed([arm["name"] for arm in summary["arms"]]), summary["pictures"]
    return study_page(
        f"{summary['data']}: {arms} compared",
        summary["headline"],
        summary["missing"],
        [(name, called, part(summary)) for name, called, part in parts],
        None if pictures is None else pictures["pixels"],
        SCRIPT if summary["of_runs"] else "",
    )
