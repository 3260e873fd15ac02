"""The parts of a study's page -> one HTML file that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8

from littoral.report.markup import document, paragraph, sentence, text
from littoral.report.sprite import sprite_style
from littoral.report.study_style import STYLE
from littoral.version import __version__


def study_page(
    title: str,
    headline: str,
    missing: str | None,
    parts: Sequence[tuple[str, str, str]],
    pixels: UInt8[np.ndarray, "n height width channels"] | None,
    script: str = "",
) -> str:
    """The page as text. `headline`: what came out, in sentences; `missing`: what is left out and why, a phrase.

    Each part: where a link to it leads, what the link says, and its content, maybe empty, and then left out. `pixels`:
    the pictures that parts show.
    """
    links = "".join(f'<li><a href="#{name}">{text(called)}</a></li>' for name, called, content in parts if content)
    header = f"""<p class="verdict">{text(headline)}</p>
{"" if missing is None else paragraph(sentence(missing), soft=True)}\
<nav aria-label="Parts"><ul>{links}</ul></nav>"""
    footer = (
        f"<p>Made by littoral {text(__version__)} from results.json and what lies beside it; "
        "<code>littoral report</code> makes it again without training.</p>"
    )
    return document(
        title,
        header,
        "".join(content for _, _, content in parts),
        footer,
        STYLE + ("" if pixels is None else sprite_style(pixels)),
        script,
    )
