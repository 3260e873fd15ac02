"""The figure of a learning curve: error against labels a class, both on log axes. Its tables are `curve_parts.py`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from littoral.report.svg import area, colour, drawing, line, mark, path, scale, words

WIDTH, LEFT, RIGHT, TOP, FOOT = 340, 40, 332, 22, 250

APART = 3.0
"""Units between the places of two arms at one budget, so that their bars lie side by side."""

ROOM = 26.0
"""Units that the number of a budget takes below the axis."""


def learning_curves(arms: Sequence[Mapping[str, Any]], budgets: Sequence[int], test_images: int) -> str:
    """Points with their 95 % intervals, fitted curves with their bands; dashed beyond the largest budget.

    `arms` as `curve_summary` has them. An error of 0, which a log axis lacks, is shown as half a test image.
    """
    least = 0.5 / test_images
    errors = [point[1] for arm in arms for point in arm["points"]]
    highest = max(least, *(point[3] for arm in arms for point in arm["points"]))
    low, high = max(min(errors) / 3, 0.8 * least), min(1.3 * highest, 1.0)
    fitted = any(arm["curve"] for arm in arms)
    most = 2 * max(budgets) if fitted else max(budgets)
    room = 0.06 * math.log10(most / min(budgets)) or 0.3
    across_logs = scale(math.log10(min(budgets)) - room, math.log10(most) + room, LEFT, RIGHT)
    up_logs = scale(math.log10(low), math.log10(high), FOOT, TOP)

    def across(labels: float) -> float:
        return across_logs(math.log10(labels))

    def up(error: float) -> float:
        return up_logs(math.log10(min(max(error, low), high)))

    parts = []
    for tick in _ticks(100 * low, 100 * high):
        y = up(tick / 100)
        parts += [line(LEFT, y, RIGHT, y, "grid"), words(LEFT - 4, y + 4, f"{tick:g}", "small", "end")]
    last = -math.inf
    for labels in sorted({*budgets, most}):
        x = across(labels)
        parts.append(line(x, FOOT, x, FOOT + 4, "axis"))
        if x - last >= ROOM:
            parts.append(words(x, FOOT + 16, f"{labels:,}", "small", "middle"))
            last = x
    parts += [line(LEFT, FOOT, RIGHT, FOOT, "axis"), line(LEFT, TOP, LEFT, FOOT, "axis")]
    for number, arm in enumerate(arms):
        if arm["band"]:
            upper = [(across(labels), up(end)) for labels, _, end in arm["band"]]
            lower = [(across(labels), up(start)) for labels, start, _ in arm["band"]]
            parts.append(area([*upper, *reversed(lower)], f"band {colour(number)}"))
    for number, arm in enumerate(arms):
        kind = f"curve {colour(number)}"
        drawn = arm["curve"] or [(labels, error) for labels, error, _, _ in arm["points"]]
        inside = [(across(labels), up(error)) for labels, error in drawn if labels <= max(budgets)]
        beyond = [(across(labels), up(error)) for labels, error in drawn if labels > max(budgets)]
        parts.append(path(inside, kind))
        if beyond:
            parts.append(path([*inside[-1:], *beyond], f"{kind} beyond"))
        for labels, error, start, end in arm["points"]:
            x = across(labels) + APART * (number - (len(arms) - 1) / 2)
            parts += [line(x, up(start), x, up(end), f"reach {colour(number)}"), mark(number, x, up(error))]
    parts += [words(4, 12, "test error, %", "small")]
    parts += [words((LEFT + RIGHT) / 2, FOOT + 32, "labels a class", "small", "middle")]
    return drawing(WIDTH, FOOT + 38, "Test error of each arm against labels a class, with 95 % intervals", parts)


def _ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of ten from `low` to `high`; where these are fewer than two, the ends."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    found = [round(tick, 10) for tick in found if low <= tick <= high]
    return found if len(found) >= 2 else [float(f"{low:.2g}"), float(f"{high:.2g}")]
