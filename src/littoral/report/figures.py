"""The figures of a comparison's page: numbers in, a drawing out. The table beside each is `comparison_parts.py`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from littoral.report.markup import text
from littoral.report.svg import box, colour, drawing, line, mark, path, scale, ticks, words
from littoral.words import printable, shortened

WIDTH = 340
"""Of all figures but the small ones of calibration."""

CLASSES = 30
"""Classes that have bars, those missed most."""


def forest(pairs: Sequence[tuple[str, Mapping[str, Any]]], judged: str) -> str:
    """Differences of accuracy in points with their intervals, `judged` less another arm, each under its name.

    Each pair is as results.json has it, with its `outcome`.
    """
    ends = [100 * end for _, pair in pairs for end in pair["ci95"]]
    low, high = min(0.0, *ends), max(0.0, *ends)
    place = scale(low, high, 14, WIDTH - 14)
    foot = 44 * len(pairs) + 8
    parts = []
    for tick in ticks(low, high, 7):
        parts += [line(place(tick), 6, place(tick), foot, "axis" if tick == 0 else "grid")]
        parts += [words(place(tick), foot + 14, _signed(tick), "small", _anchor(place(tick)))]
    for number, (name, pair) in enumerate(pairs):
        top = 44 * number
        found, (first, last) = 100 * pair["difference"], (100 * end for end in pair["ci95"])
        kind = pair["outcome"]
        parts += [
            words(14, top + 18, shortened(printable(name), 22), "over"),
            words(WIDTH - 14, top + 18, f"{found:+.2f} ({first:+.2f} to {last:+.2f})", "over small", "end"),
            line(place(first), top + 32, place(last), top + 32, f"reach {kind}"),
            line(place(first), top + 27, place(first), top + 37, f"reach {kind}"),
            line(place(last), top + 27, place(last), top + 37, f"reach {kind}"),
            box(place(found) - 4, top + 28, 8, 8, f"dot {kind}"),
        ]
    parts.append(words(WIDTH / 2, foot + 30, f"points; right of 0: {shortened(judged, 16)} better", "small", "middle"))
    title = f"Differences of accuracy between {judged} and each other arm, with 95 % intervals"
    return drawing(WIDTH, foot + 36, title, parts)


def accuracy_against(arms: Sequence[Mapping[str, Any]], costs: Sequence[float], what: str, unit: str) -> str:
    """Accuracy of each arm with its interval against a cost (above 0, on a scale of logarithms)."""
    right, top, foot = 214, 24, 200
    ends = [100 * end for arm in arms for end in arm["ci95"]]
    low, high = min(ends), max(ends)
    room = max(high - low, 0.5) * 0.05
    low, high = max(0.0, low - room), min(100.0, high + room)
    logs = [math.log10(max(cost, 1e-12)) for cost in costs]
    least, most = min(logs) - 0.06, max(logs) + 0.06
    across, up = scale(least, most, 48, right - 8), scale(low, high, foot, top)
    parts = [line(42, foot, right, foot, "axis"), line(42, top, 42, foot, "axis")]
    for tick in ticks(low, high):
        parts += [line(42, up(tick), right, up(tick), "grid"), words(38, up(tick) + 4, f"{tick:g}", "small", "end")]
    for tick in _log_ticks(least, most):
        x = across(math.log10(tick))
        parts += [line(x, foot, x, foot + 4, "axis"), words(x, foot + 16, _short(tick), "small", "middle")]
    names = _apart([up(100 * arm["mean"]) for arm in arms], 15, top + 4, foot)
    for number, (arm, x, y) in enumerate(zip(arms, map(across, logs), names, strict=True)):
        middle, (first, last) = up(100 * arm["mean"]), (up(100 * end) for end in arm["ci95"])
        parts += [line(x, first, x, last, f"reach {colour(number)}"), line(x, middle, right + 12, y, "lead")]
        parts += [mark(number, x, middle), mark(number, right + 18, y)]
        parts.append(words(right + 27, y + 4, shortened(arm["name"], 12)))
    parts += [words(42, foot + 34, f"{what}, {unit}", "small"), words(4, 12, "accuracy, %", "small")]
    return drawing(WIDTH, foot + 40, f"Accuracy of each arm against {what}, with 95 % intervals", parts)


def reliability_curve(number: int, name: str, bins: Sequence[tuple[int, float, float]], least: float) -> str:
    """Accuracy against confidence, both from `least` to 1; on the diagonal an arm is as sure as it should be."""
    left, right, top, foot = 30, 160, 22, 152
    across, up = scale(least, 1, left, right), scale(least, 1, foot, top)
    parts = [line(left, foot, right, foot, "axis"), line(left, top, left, foot, "axis")]
    for tick in ticks(least, 1, 4):
        parts += [words(across(tick), foot + 13, f"{100 * tick:g}", "small", "middle")]
        parts += [words(left - 4, up(tick) + 4, f"{100 * tick:g}", "small", "end")]
    parts.append(line(across(least), up(least), right, top, "lead"))
    points = [(across(confidence), up(accuracy)) for _, confidence, accuracy in bins]
    parts += [path(points, f"curve {colour(number)}"), *[mark(number, x, y, 3) for x, y in points]]
    parts.append(words(left, 14, shortened(name, 20), "over"))
    return drawing(174, 168, f"How sure {name} is, and how often it is right", parts)


def missed_bars(classes: Sequence[Mapping[str, Any]], judged: str, arms: Sequence[str]) -> str:
    """The share of each class that is missed: a bar with its interval for the judged arm, marks for all of several."""
    shown = sorted(classes, key=lambda it: it["recall"][judged][0])[:CLASSES]
    ends = [100 * (1 - it["recall"][judged][1]) for it in shown]
    high = max([1.0, *ends, *[100 * (1 - it["recall"][arm][0]) for it in shown for arm in arms if it["recall"][arm]]])
    place, step = scale(0, high, 96, WIDTH - 14), 26
    foot = step * len(shown) + 8
    parts = []
    for tick in ticks(0, high):
        parts += [line(place(tick), 4, place(tick), foot, "axis" if tick == 0 else "grid")]
        parts += [words(place(tick), foot + 14, f"{tick:g}", "small", "middle")]
    for row, it in enumerate(shown):
        top = step * row + 6
        share, low, most = (100 * (1 - value) for value in it["recall"][judged])
        parts += [
            words(90, top + 13, shortened(printable(it["name"]), 11), "", "end"),
            box(place(0), top + 3, place(share) - place(0), 7, f"bar {colour(list(arms).index(judged))}"),
            line(place(most), top + 6.5, place(low), top + 6.5, "reach"),
        ]
        for number, arm in enumerate(arms if len(arms) > 1 else ()):
            if it["recall"][arm] is not None:
                parts.append(mark(number, place(100 * (1 - it["recall"][arm][0])), top + 16, 3.2))
    parts.append(words((96 + WIDTH) / 2, foot + 30, "% of the class missed", "small", "middle"))
    title = f"Share of each class that {judged} misses, with 95 % intervals"
    title += ", and marks for all arms" if len(arms) > 1 else ""
    return drawing(WIDTH, foot + 36, title, parts)


def key(arms: Sequence[str]) -> str:
    """Which mark is whose, as a list."""
    rows = "".join(
        f'<li><svg viewBox="-7 -7 14 14" aria-hidden="true">{mark(number, 0, 0)}</svg>{text(arm)}</li>\n'
        for number, arm in enumerate(arms)
    )
    return f'<ul class="key">\n{rows}</ul>\n'


def _apart(places: Sequence[float], distance: float, top: float, foot: float) -> list[float]:
    """Places moved as little as it takes to be so far apart, in their order, from `top` on."""
    order = sorted(range(len(places)), key=lambda number: places[number])
    found, last = [0.0] * len(places), top - distance
    for number in order:
        last = found[number] = max(places[number], last + distance)
    below = foot
    for number in reversed(order):
        below = found[number] = min(found[number], below)
        below -= distance
    return found


def _log_ticks(least: float, most: float) -> list[float]:
    """Round numbers whose logarithms lie between: powers of ten, or with 2 and 5 between them where these are few."""
    for factors in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7)):
        found = [
            factor * 10.0**power
            for power in range(math.floor(least), math.ceil(most) + 1)
            for factor in factors
            if least <= math.log10(factor) + power <= most
        ]
        if len(found) >= 2:
            return found[:: math.ceil(len(found) / 5)]
    return [10 ** ((least + most) / 2)]


def _short(value: float) -> str:
    """12,000,000 -> 12M"""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.2g}"


def _signed(value: float) -> str:
    return "0" if value == 0 else f"{value:+g}"


def _anchor(x: float) -> str:
    return "start" if x < 24 else "end" if x > WIDTH - 24 else "middle"
