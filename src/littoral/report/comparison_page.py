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
    record_part,
)
from littoral.report.comparison_pictures import branches_part, looks_part, mistakes_part
from littoral.report.comparison_style import SCRIPT, STYLE
from littoral.report.markup import document, text
from littoral.report.sprite import sprite_style
from littoral.version import __version__
from littoral.words import listed

PARTS = (
    ("differences", "Differences", differences_part),
    ("arms", "Arms", arms_part),
    ("cost", "Cost", cost_part),
    # learning curves of `littoral curve` belong here
    ("classes", "Classes", classes_part),
    ("confusion", "Confusions", confusion_part),
    ("mistakes", "Mistakes", mistakes_part),
    ("branches", "Branches", branches_part),
    ("looks", "Where they look", looks_part),
    ("calibration", "Calibration", calibration_part),
    ("record", "How it was made", record_part),
)
"""The parts of the page in their order: where a link leads, what it says, and what makes the part, maybe empty."""


def comparison_page(summary: Mapping[str, Any]) -> str:
    """The page as text; the same summary gives the same page."""
    made = [(name, called, part(summary)) for name, called, part in PARTS]
    links = "".join(f'<li><a href="#{name}">{text(called)}</a></li>' for name, called, content in made if content)
    arms = listed([arm["name"] for arm in summary["arms"]])
    header = f"""<p class="verdict">{text(summary["headline"])}</p>
<nav aria-label="Parts"><ul>{links}</ul></nav>"""
    pictures = summary["pictures"]
    footer = (
        f"<p>Made by littoral {text(__version__)} from results.json and the runs beside it; "
        "<code>littoral report</code> makes it again without training.</p>"
    )
    return document(
        f"{summary['data']}: {arms} compared",
        header,
        "".join(content for _, _, content in made),
        footer,
        STYLE + ("" if pictures is None else sprite_style(pictures["pixels"])),
        SCRIPT,
    )
