"""Findings -> one HTML file that needs nothing but itself: pictures inside it, no script, no request.

Every name from the data goes through `_text`; nothing else that comes from outside is put into the page.
"""

from __future__ import annotations

import html
from collections.abc import Sequence

from littoral.images.audit import Audit, ClassCount
from littoral.images.store import ImageStore
from littoral.report.audit_findings import Finding, Picture, summary
from littoral.report.thumbnails import data_uri, thumbnail
from littoral.report.words import printable
from littoral.version import __version__

PICTURES, LINES = 120, 500
"""Pictures, and lines where there are none, that the page shows of one finding; audit.json has them all."""

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2530; --soft: #5a6673; --paper: #fff; --card: #f3f5f7; --line: #d3dae1;
  --mark: #0b6e8f; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e9ee; --soft: #9eabb7; --paper: #14191f; --card: #1e252d; --line: #37424d; --mark: #5cc3e6; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 74rem; padding: 1.5rem 1rem 3rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .5rem; }
h2 { font-size: 1.15rem; line-height: 1.3; margin: 2.5rem 0 .25rem; padding-top: 1rem;
  border-top: 1px solid var(--line); }
p { margin: .25rem 0 .75rem; max-width: 48rem; }
.soft, figcaption { color: var(--soft); }
a { color: var(--mark); }
nav ol { margin: 1rem 0; padding-left: 1.5rem; }
.pictures { display: flex; flex-wrap: wrap; gap: .75rem; align-items: stretch; }
.group { display: flex; flex-wrap: wrap; gap: .5rem; background: var(--card); border: 1px solid var(--line);
  border-radius: .5rem; padding: .5rem; }
figure { margin: 0; width: 8.5rem; }
figure img { display: block; max-width: 100%; height: auto; background: var(--card); border: 1px solid var(--line); }
figcaption { font-size: .8rem; line-height: 1.35; padding-top: .25rem; }
figcaption b { display: block; color: var(--ink); font-weight: 600; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .9rem .2rem 0; text-align: right; font-weight: 400; white-space: nowrap; }
th:first-child { text-align: left; white-space: normal; min-width: 6rem; }
thead th { color: var(--soft); border-bottom: 1px solid var(--line); }
td.bar { width: 12rem; padding-right: 0; }
td.bar span { display: block; height: .6rem; background: var(--mark); border-radius: .15rem; min-width: 1px; }
ul { padding-left: 1.25rem; }
footer { margin-top: 3rem; font-size: .85rem; color: var(--soft); }
"""


def audit_page(audit: Audit, found: Sequence[Finding], notes: Sequence[str], store: ImageStore, command: str) -> str:
    """The page as text. `notes`: further lines for its top; `command`: how it was made."""
    title = f"Audit of {audit.source}"
    places = "".join(
        f'<li><a href="#finding-{number}">{_text(finding.heading)}</a></li>' for number, finding in enumerate(found, 1)
    )
    sections = "".join(_section(number, finding, store) for number, finding in enumerate(found, 1))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{_text(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<header>
<h1>{_text(title)}</h1>
<p>{_text(summary(audit))}.</p>
{"".join(f'<p class="soft">{_text(note)}</p>' for note in notes)}
</header>
<main>
{f"<nav aria-label='Findings'><ol>{places}</ol></nav>" if found else "<p>Nothing odd was found.</p>"}
{sections}
<section id="classes">
<h2>Classes</h2>
{_class_table(audit.classes)}
</section>
</main>
<footer>
<p>Pictures are shown as a network gets them, at {audit.form[0]}×{audit.form[1]} pixels; --size shows more of them.
All that was found is in audit.json. Made by littoral {_text(__version__)}: <code>{_text(command)}</code></p>
</footer>
</body>
</html>
"""


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
        f'<section id="finding-{number}">\n<h2>{_text(finding.heading)}</h2>\n'
        f"<p>{_text(_sentence(finding.advice))}</p>\n"
        + (f'<div class="pictures">{"".join(groups)}</div>\n' if groups else lines)
        + (f'<p class="soft">and {more:,} more, in audit.json</p>\n' if more > 0 else "")
        + "</section>\n"
    )


def _group(group: Sequence[Picture], store: ImageStore, framed: bool) -> str:
    figures = "".join(_figure(picture, store) for picture in group)
    return f'<div class="group">{figures}</div>' if framed else figures


def _figure(picture: Picture, store: ImageStore) -> str:
    small = thumbnail(store, picture.index)
    name = _text(picture.name)
    return (
        f'<figure><img src="{data_uri(small)}" width="{small.width}" height="{small.height}" alt="{name}">'
        f"<figcaption><b>{name}</b>{_text(picture.note)}</figcaption></figure>\n"
    )


def _lines(lines: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{_text(line)}</li>' for line in lines[:LINES])}</ul>\n"


def _class_table(classes: Sequence[ClassCount]) -> str:
    parts = list(classes[0].parts) if classes else []
    most = max((found.images for found in classes), default=0) or 1
    heads = "".join(f'<th scope="col">{_text(head)}</th>' for head in ["class", "images", *parts, "unreadable", ""])
    rows = "".join(
        f'<tr><th scope="row">{_text(found.name)}</th>'
        + "".join(f"<td>{number:,}</td>" for number in [found.images, *found.parts.values(), found.unreadable])
        + f'<td class="bar"><span style="width: {100 * found.images / most:.1f}%"></span></td></tr>\n'
        for found in classes
    )
    return f'<div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>\n{rows}</tbody></table></div>'


def _sentence(phrase: str) -> str:
    return f"{phrase[:1].upper()}{phrase[1:]}."


def _text(text: str) -> str:
    return html.escape(printable(text))
