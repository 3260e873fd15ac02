"""What all pages share: how they look, their head and foot, and the one way in which text gets into them.

Every name from the data goes through `text`; nothing else that comes from outside is put into a page.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Iterable, Sequence

from littoral.words import printable

STYLE = """
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


def document(title: str, header: str, main: str, footer: str, style: str = "", script: str = "") -> str:
    """A whole page that asks nobody for anything: `style` beside what all share, `script` the only one that may run."""
    hashed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    allowed = f"; script-src 'sha256-{hashed}'" if script else ""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" \
content="default-src 'none'; img-src data:; style-src 'unsafe-inline'{allowed}">
<title>{text(title)}</title>
<style>{STYLE}{style}</style>
</head>
<body>
<header>
<h1>{text(title)}</h1>
{header}
</header>
<main>
{main}
</main>
<footer>
{footer}
</footer>
{f"<script>{script}</script>" if script else ""}</body>
</html>
"""


def table(label: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of plain text, its first column naming the row; it scrolls by itself where it is too wide."""
    head = "".join(f'<th scope="col">{text(name)}</th>' for name in heads)
    body = "".join(
        f'<tr><th scope="row">{text(row[0])}</th>{"".join(f"<td>{text(value)}</td>" for value in row[1:])}</tr>\n'
        for row in rows
    )
    return (
        f'<div class="wide" role="region" tabindex="0" aria-label="{text(label)}"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>\n{body}</tbody></table></div>\n"
    )


def folded(what: str, content: str) -> str:
    """Content that is shown when it is asked for."""
    return f"<details><summary>{text(what)}</summary>\n{content}</details>\n"


def section(name: str, heading: str, content: str) -> str:
    """A part of a page, to which `#name` leads."""
    return f'<section id="{name}">\n<h2>{text(heading)}</h2>\n{content}</section>\n'


def paragraph(words: str, soft: bool = False) -> str:
    """Sentences of plain text."""
    opening = '<p class="soft">' if soft else "<p>"
    return f"{opening}{text(words)}</p>\n"


def sentence(phrase: str) -> str:
    """A phrase with a capital and a full stop."""
    return f"{phrase[:1].upper()}{phrase[1:]}."


def text(words: str) -> str:
    """Any text as it may stand in a page, between tags or within quotes."""
    return html.escape(printable(words))
