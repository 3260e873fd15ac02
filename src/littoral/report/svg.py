"""Pieces of a drawing inside a page, as text: scales, marks, lines and words. What is drawn is left to `figures.py`.

Drawings are made for 340 units of width, what a phone shows; colours are classes that the page's style knows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from littoral.report.markup import text

Scale = Callable[[float], float]

SHAPES, COLOURS = 4, 6
"""Marks are told apart by both: circle, square, diamond, triangle; and the classes c0 to c5."""


def scale(low: float, high: float, start: float, end: float) -> Scale:
    """From values to places: `low` at `start`, `high` at `end`."""
    width = (high - low) or 1.0
    return lambda value: start + (value - low) / width * (end - start)


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """At most so many round numbers from `low` to `high`, at even distances of 1, 2 or 5 times a power of ten."""
    rough = max(high - low, 1e-9) / max(most - 1, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-6), math.floor(high / step + 1e-6)
    return [round(number * step, 10) for number in range(first, last + 1)]


def drawing(width: int, height: int, title: str, parts: Sequence[str]) -> str:
    """The whole drawing; `title` is what is read out in its place."""
    return (
        f'<svg viewBox="0 0 {width} {height}" style="max-width: {1.3 * width:.0f}px" role="img" '
        f'aria-label="{text(title)}">\n{"".join(parts)}</svg>\n'
    )


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """A line of a class such as `grid`, `axis`, or of a colour."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>\n'


def words(x: float, y: float, content: str, kind: str = "", anchor: str = "start") -> str:
    """Words that begin, end or have their middle at x, their foot at y."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{text(content)}</text>\n'


def box(x: float, y: float, width: float, height: float, kind: str) -> str:
    """A filled rectangle."""
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{height:.1f}" class="{kind}"/>\n'


def path(points: Sequence[tuple[float, float]], kind: str) -> str:
    """Straight lines from point to point."""
    return f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}" class="{kind}"/>\n'


def area(points: Sequence[tuple[float, float]], kind: str) -> str:
    """What straight lines from point to point, and back to the first, enclose."""
    return f'<polygon points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}" class="{kind}"/>\n'


def mark(number: int, x: float, y: float, size: float = 4.5) -> str:
    """The mark of the arm that comes as the `number`th, of its own shape and colour."""
    kind = f'class="mark {colour(number)}"'
    match number % SHAPES:
        case 0:
            return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size:.1f}" {kind}/>\n'
        case 1:
            corners = [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)]
        case 2:
            corners = [(0.0, -1.25), (1.25, 0.0), (0.0, 1.25), (-1.25, 0.0)]
        case _:
            corners = [(0.0, -1.15), (1.15, 0.95), (-1.15, 0.95)]
    points = " ".join(f"{x + size * dx:.1f},{y + size * dy:.1f}" for dx, dy in corners)
    return f'<polygon points="{points}" {kind}/>\n'


def colour(number: int) -> str:
    """The class of the colour of the `number`th arm."""
    return f"c{number % COLOURS}"
