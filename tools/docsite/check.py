"""Looks through the built site: every link leads to a page and heading that are there, nothing comes from outside.

Usage: python tools/docsite/check.py SITE
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """`links`: where a reader is led. `loads`: what a browser fetches by itself. `anchors`: what can be led to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what one element names."""
        named = {name: value or "" for name, value in attrs}
        self.anchors |= {named[key] for key in ("id", "name") if key in named}
        if tag == "a" and "href" in named:
            self.links.append(named["href"])
        if tag == "link" and named.get("rel") not in ("canonical", "next", "prev"):
            self.loads.append(named["href"])
        if tag in ("script", "img", "iframe", "source") and "src" in named:
            self.loads.append(named["src"])


def faults(site: Path) -> list[str]:
    """What is wrong with a site, one sentence each."""
    pages = {path: Page(path.read_text()) for path in sorted(site.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        where = path.relative_to(site)
        for target in page.loads:
            if urlsplit(target).scheme not in ("", "data") or target.startswith("//"):
                found.append(f"{where} loads {target}, which is outside")
        for target in page.links + page.loads:
            parts = urlsplit(target)
            if parts.scheme or target.startswith("//") or where.name == "404.html":
                continue
            meant = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            meant = meant / "index.html" if meant.is_dir() else meant
            if not meant.is_file():
                found.append(f"{where} leads to {target}, which is not there")
            elif parts.fragment and meant in pages and unquote(parts.fragment) not in pages[meant].anchors:
                found.append(f"{where} leads to {target}, a heading that is not there")
    for style in site.rglob("*.css"):
        if "url(http" in style.read_text() or "@import" in style.read_text():
            found.append(f"{style.relative_to(site)} loads something from outside")
    return found


if __name__ == "__main__":
    said = faults(Path(sys.argv[1]).resolve())
    print("\n".join(said) or "all links lead somewhere, and nothing comes from outside")
    sys.exit(bool(said))
