"""Findings -> one HTML file that needs nothing but itself: pictures inside it, no script, no request.

Every name from the data goes through `text` of `markup.py`; nothing else that comes from outside is put into the page.
"""

from __future__ import annotations

from collections.abc import Sequence

from littoral.images.audit import Audit, ClassCount
from littoral.images.store import ImageStore
from littoral.report.audit_findings import Finding, Picture, summary
from littoral.report.markup import document, paragraph, section, sentence, text
from littoral.report.thumbnails import data_uri, thumbnail
from littoral.version import __version__

PICTURES, LINES = 120, 500
"""Pictures, and lines where there are none, that the page shows of one finding; audit.json has them all."""


def audit_page(audit: Audit, found: Sequence[Finding], notes: Sequence[str], store: ImageStore, command: str) -> str:
    """The page as text. `notes`: further lines for its top; `command`: how it was made."""
    title = f"Audit of {audit.source}"
    places = "".join(
        f'<li><a href="#finding-{number}">{text(finding.heading)}</a></li>' for number, finding in enumerate(found, 1)
    )
    sections = "".join(_section(number, finding, store) for number, finding in enumerate(found, 1))
    header = paragraph(f"{summary(audit)}.") + "".join(paragraph(note, soft=True) for note in notes)
    listed = f"<nav aria-label='Findings'><ol>{places}</ol></nav>" if found else paragraph("Nothing odd was found.")
    classes = section("classes", "Classes", _class_table(audit.classes))
    footer = (
        f"<p>Pictures are shown as a network gets them, at {audit.form[0]}×{audit.form[1]} pixels; --size shows more "
        "of them.\nAll that was found is in audit.json. "
        f"Made by littoral {text(__version__)}: <code>{text(command)}</code></p>"
    )
    return document(title, header, f"{listed}\n{sections}\n{classes}", footer)


def _section(number: int, finding: Finding, store: ImageStore) -> str:
    left = PICTURES
    groups = []
    for group in finding.groups:
        if left > 0:
            groups.append(_group(group[:left], store, framed=len(finding.groups) > 1))
            left -= len(group)
    total = sum(map(len, finding.groups))
    lines = "" if groups or not finding.lines else _lines(finding.lines)
    more = total - PICTURES if groups else len(finding.lines) - LINES
    return (
        f'<section id="finding-{number}">\n<h2>{text(finding.heading)}</h2>\n'
        f"<p>{text(sentence(finding.advice))}</p>\n"
        + (f'<div class="pictures">{"".join(groups)}</div>\n' if groups else lines)
        + (f'<p class="soft">and {more:,} more, in audit.json</p>\n' if more > 0 else "")
        + "</section>\n"
    )


def _group(group: Sequence[Picture], store: ImageStore, framed: bool) -> str:
    figures = "".join(_figure(picture, store) for picture in group)
    return f'<div class="group">{figures}</div>' if framed else figures


def _figure(picture: Picture, store: ImageStore) -> str:
    small = thumbnail(store, picture.index)
    name = text(picture.name)
    return (
        f'<figure><img src="{data_uri(small)}" width="{small.width}" height="{small.height}" alt="{name}">'
        f"<figcaption><b>{name}</b>{text(picture.note)}</figcaption></figure>\n"
    )


def _lines(lines: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{text(line)}</li>' for line in lines[:LINES])}</ul>\n"


def _class_table(classes: Sequence[ClassCount]) -> str:
    parts = list(classes[0].parts) if classes else []
    most = max((found.images for found in classes), default=0) or 1
    heads = "".join(f'<th scope="col">{text(head)}</th>' for head in ["class", "images", *parts, "unreadable", ""])
    rows = "".join(
        f'<tr><th scope="row">{text(found.name)}</th>'
        + "".join(f"<td>{number:,}</td>" for number in [found.images, *found.parts.values(), found.unreadable])
        + f'<td class="bar"><span style="width: {100 * found.images / most:.1f}%"></span></td></tr>\n'
        for found in classes
    )
    return f'<div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>\n{rows}</tbody></table></div>'
