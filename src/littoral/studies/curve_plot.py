"""A learning curve as a picture: error against labels a class, both on log axes. Figures are `curve_findings.py`'s."""

from __future__ import annotations

import io

import numpy as np

from littoral.studies.curve_findings import STEPS
from littoral.studies.curve_result import LearningCurve
from littoral.words import count

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Told apart by people who see fewer colours than others (Okabe and Ito); after the last the first comes again."""

MARKERS = "osD^vPX"

OVER = {"seeds": "seeds", "images": "test images"}
"""What intervals speak of, in words."""

APART = 0.03
"""By how much of itself the place of an arm is moved from that of its neighbour, so that bars lie side by side."""


def curve_png(found: LearningCurve) -> bytes:
    """The picture as a PNG file's content: points with their 95 % intervals, fitted curves with their bands.

    Beyond the largest budget the curve is dashed. An error of 0, which a log axis lacks, is shown as half a test image.
    """
    from matplotlib.figure import Figure  # without pyplot: drawn by Agg, and no window system is asked for
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

    least = 50 / found.settings["test_images"]
    figure = Figure(figsize=(8, 5.5), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    names = list(dict.fromkeys(arm.name for arms in found.points.values() for arm in arms))
    budgets = list(found.points)
    shown: list[float] = []
    highest: list[float] = []
    for number, name in enumerate(names):
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        arms = {budget: arm for budget, those in found.points.items() for arm in those if arm.name == name}
        places = np.array(list(arms)) * (1 + APART) ** (number - (len(names) - 1) / 2)
        error = np.maximum([100 * (1 - arm.mean) for arm in arms.values()], least)
        high = np.maximum([100 * (1 - arm.ci95[0]) for arm in arms.values()], error)
        low = np.clip([100 * (1 - arm.ci95[1]) for arm in arms.values()], least, error)
        fit = next((fit for fit in found.fits if fit.arm == name), None)
        axes.errorbar(
            places,
            error,
            yerr=[error - low, high - error],
            color=colour,
            marker=marker,
            markersize=5,
            capsize=2.5,
            linewidth=1.1,
            linestyle="" if fit is not None else "-",
            label=name,
        )
        shown += list(error)
        highest += list(high)
        if fit is None:
            continue
        line = np.geomspace(min(budgets), 2 * max(budgets), 4 * STEPS)
        curve = np.array([max(100 * fit.curve.error(labels), least) for labels in line])
        inside = line <= max(budgets)
        axes.plot(line[inside], curve[inside], color=colour, linewidth=1.4)
        axes.plot(line[~inside], curve[~inside], color=colour, linewidth=1.4, linestyle="--")
        if fit.band:
            ends = np.maximum([[100 * end for end in expected.ci95] for _, expected in fit.band], least)
            axes.fill_between([n for n, _ in fit.band], ends[:, 0], ends[:, 1], color=colour, alpha=0.12, linewidth=0)
    axes.set(xscale="log", yscale="log", xlabel="labels a class", ylabel="test error, %")
    axes.set_ylim(max(min(shown) / 3, least * 0.8), min(1.3 * max(highest), 100))
    axes.set_xticks([*budgets, 2 * max(budgets)])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_formatter(NullFormatter())
    plain = FuncFormatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_major_formatter(plain)
    axes.yaxis.set_major_formatter(plain)
    axes.grid(which="major", alpha=0.25)
    seeds, over = count(len(found.settings["seeds"]), "seed"), found.points[max(budgets)][0].ci95_over
    title = f"preset {found.settings['preset']}: mean of {seeds}, 95 % intervals over {OVER[over]}"
    axes.set_title(title, fontsize=10)
    axes.legend(frameon=False)
    content = io.BytesIO()
    figure.savefig(content, format="png", metadata={"Title": title})
    return content.getvalue()
