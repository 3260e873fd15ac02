"""Findings -> one picture with the images in question, small, under headings."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from PIL import Image, ImageDraw, ImageFont

from littoral.images.store import ImageStore
from littoral.report.audit_findings import Finding, Picture
from littoral.report.thumbnails import SIDE, thumbnail
from littoral.words import printable, shortened

PICTURES = 56
"""Pictures that the sheet shows of one finding; the page has more, audit.json all."""

COLUMNS, MARGIN, GAP = 8, 28, 10
LETTERS, CAPTION_LINES, LINE = 20, 5, 15
"""Characters and lines of a caption at most, and the height of a line in pixels."""

TILE_WIDTH = SIDE + 2 * GAP
WIDTH = 2 * MARGIN + COLUMNS * TILE_WIDTH

PAPER, INK, SOFT, FRAME, CARD = "white", "#1c2530", "#5a6673", "#8fa3b5", "#eef2f5"

FONTS = (
    "DejaVuSans.ttf",
    "Arial.ttf",
    "NotoSansCJK-Regular.ttc",
    "wqy-microhei.ttc",
    "DroidSansFallbackFull.ttf",
    "PingFang.ttc",
    "msyh.ttc",
    "Arial Unicode.ttf",
)
"""Files looked for where a system keeps its fonts; Pillow's own, the last, knows little more than English."""

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class _Tile:
    """Where one picture goes, with its caption. `card`: (left, right) of the card behind it, None where it has none."""

    picture: Picture
    caption: list[str]
    left: int
    top: int
    bottom: int
    card: tuple[int, int] | None


def contact_sheet(title: str, found: Sequence[Finding], store: ImageStore) -> Image.Image:
    """The sheet, RGB, about 1,250 pixels wide and as high as it takes."""
    shown = [finding for finding in found if finding.groups]
    # laid out twice: once to know the height, once to draw
    height = _draw(None, title, shown, store)
    sheet = Image.new("RGB", (WIDTH, height), PAPER)
    _draw(sheet, title, shown, store)
    return sheet


def _draw(sheet: Image.Image | None, title: str, found: Sequence[Finding], store: ImageStore) -> int:
    """Draw onto the sheet, if there is one; return the height that it takes."""
    pen = None if sheet is None else ImageDraw.Draw(sheet)
    top = MARGIN
    top = _write(pen, title, top, size=22, colour=INK)
    if not found:
        top = _write(pen, "no images to look at", top, size=14, colour=SOFT)
    for finding in found:
        top = _write(pen, finding.heading, top + 2 * GAP, size=17, colour=INK)
        top = _write(pen, finding.advice, top, size=13, colour=SOFT) + GAP // 2
        for tile in _tiles(finding, top):
            top = tile.bottom + GAP
            if sheet is not None and pen is not None:
                _paste(sheet, pen, tile, store)
        left = sum(map(len, finding.groups)) - PICTURES
        if left > 0:
            top = _write(pen, f"and {left:,} more", top, size=13, colour=SOFT)
    return top + MARGIN


def _tiles(finding: Finding, top: int) -> Iterator[_Tile]:
    """Places for the pictures, row by row; a group that no longer fits into a row starts the next one."""
    shown: list[list[tuple[Picture, list[str]]]] = []
    left = PICTURES
    for group in finding.groups:
        shown.append([(picture, _caption(picture)) for picture in group[: max(left, 0)]])
        left -= len(group)
    lines = max(len(caption) for members in shown for _, caption in members)
    height = SIDE + 2 * GAP + lines * LINE
    grouped = len(finding.groups) > 1
    column = 0
    for members in shown:
        if grouped and column and column + len(members) > COLUMNS:
            column, top = 0, top + height + GAP
        for number, (picture, caption) in enumerate(members):
            if column == COLUMNS:
                column, top = 0, top + height + GAP
            place = MARGIN + column * TILE_WIDTH
            # cards of one group touch, those of two leave a gap
            ends = (place + 3 * (number == 0), place + TILE_WIDTH - 1 - 3 * (number == len(members) - 1))
            yield _Tile(picture, caption, place, top, top + height, ends if grouped else None)
            column += 1


def _caption(picture: Picture) -> list[str]:
    note = textwrap.wrap(_drawable(picture.note, 11)[0], LETTERS, max_lines=CAPTION_LINES - 1, placeholder=" …")
    return [shortened(_drawable(picture.name, 11)[0], LETTERS), *note]


def _paste(sheet: Image.Image, pen: ImageDraw.ImageDraw, tile: _Tile, store: ImageStore) -> None:
    small = thumbnail(store, tile.picture.index).convert("RGB")
    left, top = tile.left + GAP + (SIDE - small.width) // 2, tile.top + GAP + (SIDE - small.height) // 2
    if tile.card is not None:
        pen.rectangle((tile.card[0], tile.top, tile.card[1], tile.bottom - 1), CARD)
    sheet.paste(small, (left, top))
    pen.rectangle((left - 1, top - 1, left + small.width, top + small.height), outline=FRAME)
    for number, line in enumerate(tile.caption):
        place = (tile.left + GAP, tile.top + GAP + SIDE + 5 + number * LINE)
        _letters(pen, place, line, 11, INK if number == 0 else SOFT)


def _write(pen: ImageDraw.ImageDraw | None, text: str, top: int, size: int, colour: str) -> int:
    """Lines of text across the sheet; returns where the next ones go."""
    for line in textwrap.wrap(_drawable(text, size)[0], int((WIDTH - 2 * MARGIN) / (0.58 * size))) or [""]:
        if pen is not None:
            _letters(pen, (MARGIN, top), line, size, colour)
        top += round(1.45 * size)
    return top


def _letters(pen: ImageDraw.ImageDraw, place: tuple[int, int], text: str, size: int, colour: str) -> None:
    text, font = _drawable(text, size)
    pen.text(place, text, fill=colour, font=font)


def _drawable(text: str, size: int) -> tuple[str, Font]:
    """Text without what cannot be shown, and a font that has its letters.

    Where no font has all of them, it is the first, and letters that it lacks are escapes.
    """
    text = printable(text)
    for font in _fonts(size):
        if all(_knows(font, char) for char in text):
            return text, font
    font = _fonts(size)[0]
    return "".join(char if _knows(font, char) else char.encode("unicode_escape").decode() for char in text), font


@cache
def _fonts(size: int) -> tuple[Font, ...]:
    return (*_found(FONTS, size), ImageFont.load_default(size))


def _found(names: Iterable[str], size: int) -> Iterator[Font]:
    for name in names:
        try:
            yield ImageFont.truetype(name, size, layout_engine=ImageFont.Layout.BASIC)
        except OSError:
            continue


@cache
def _knows(font: Font, char: str) -> bool:
    """Whether the font has the letter: one that it lacks looks like any other that it lacks."""
    if char.isspace() or char.isascii():
        return True
    return bytes(font.getmask(char)) != bytes(font.getmask("\uffff"))
