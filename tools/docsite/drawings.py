"""The drawings of the pages on concepts, made by matplotlib from the code that they explain."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rooms import svg

from littoral.evaluation.abstention import most_errors
from littoral.evaluation.paired import Difference, verdict
from littoral.images.builtin import load_mnist
from littoral.nn.fixed.hog import HogConfig
from littoral.nn.inputs import to_input

INK, WATER, DEEP = "#12262e", "#7fb2c4", "#2f5563"

STYLE = {"svg.hashsalt": "littoral", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9}


def topologies() -> bytes:
    """Two branches side by side, and one that goes on from the other."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.5, 2.6), layout="constrained")
        parallel, cascade = figure.subplots(1, 2)
        parallel.set_title("parallel: every branch sees the image")
        _boxes(
            parallel,
            {"image": (0, 0.5), "shallow": (1, 0.85), "deep": (1, 0.15), "fusion": (2, 0.5), "head": (3, 0.5)},
            ["image shallow", "image deep", "shallow fusion", "deep fusion", "fusion head"],
        )
        cascade.set_title("cascade: deep goes on from shallow's maps")
        _boxes(
            cascade,
            {"image": (0, 0.85), "shallow": (1, 0.85), "deep": (1, 0.15), "fusion": (2, 0.5), "head": (3, 0.5)},
            ["image shallow", "shallow deep", "shallow fusion", "deep fusion", "fusion head"],
        )
        return svg(figure)


def gradients() -> bytes:
    """A digit, and what a fixed shallow branch makes of it: a map for each direction, and the mean brightness."""
    data = load_mnist()
    x = to_input(torch.from_numpy(data.images[7:8]), data.spec())
    config = HogConfig(coarse=None)
    (maps,) = config.build((1, 28, 28))(x).values()
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.5, 1.3), layout="constrained")
        axes = figure.subplots(1, 1 + maps.shape[1])
        axes[0].imshow(data.images[7, :, :, 0], cmap="gray")
        axes[0].set_title("image")
        for number, one in enumerate(axes[1:]):
            one.imshow(maps[0, number], cmap="Blues", vmin=0, vmax=float(maps.max()))
            one.set_title(f"{360 * number // config.bins}°" if number < config.bins else "mean")
        for one in axes:
            one.axis("off")
        return svg(figure)


def verdicts() -> bytes:
    """Four differences with their intervals, and what is said of each."""
    cases = [
        (0.012, 0.005, 0.019, 0.004),
        (0.006, -0.004, 0.016, 0.4),
        (0.0004, -0.002, 0.003, 0.8),
        (-0.01, -0.018, -0.002, 0.03),
    ]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.5, 2.2), layout="constrained")
        axes = figure.subplots()
        for row, (mean, low, high, p) in enumerate(cases):
            found = Difference("fused", "deep", mean, (low, high), p, p, 10.0, 5, 10_000, 0.02, "seeds and images")
            axes.plot([100 * low, 100 * high], [-row, -row], color=WATER, linewidth=4, solid_capstyle="butt")
            axes.plot(100 * mean, -row, "o", color=DEEP)
            axes.text(2.2, -row, verdict(found), va="center", color=INK)
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.set(xlim=(-2, 8), ylim=(-len(cases) + 0.4, 0.6), yticks=[], xticks=[-2, -1, 0, 1, 2])
        axes.set_xlabel("points of accuracy that fused is ahead by", loc="left")
        axes.spines[["top", "right", "left"]].set_visible(False)
        return svg(figure)


def bounds() -> bytes:
    """The share of errors that can still be there, against the images that it was looked for on."""
    images = np.unique(np.geomspace(20, 10_000, 200).astype(int))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.5, 2.6), layout="constrained")
        axes = figure.subplots()
        for wrong, colour in ((0, DEEP), (1, WATER), (5, "#c58b3b")):
            axes.plot(
                images, [100 * most_errors(wrong, int(count)) for count in images], color=colour, label=str(wrong)
            )
        axes.axhline(1, color=INK, linewidth=0.8, linestyle=":")
        axes.set(xscale="log", yscale="log", ylim=(0.02, 40))
        axes.set(yticks=[0.1, 1, 10], yticklabels=["0.1", "1", "10"])
        axes.set(xticks=[20, 100, 300, 1000, 10_000], xticklabels=["20", "100", "300", "1,000", "10,000"])
        axes.set(xlabel="images", ylabel="% wrong at most")
        axes.minorticks_off()
        axes.legend(title="wrong among them", frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
        return svg(figure)


def _boxes(axes: Axes, places: Mapping[str, tuple[float, float]], arrows: list[str]) -> None:
    for arrow in arrows:
        start, end = (places[name] for name in arrow.split())
        axes.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": DEEP, "shrinkA": 22, "shrinkB": 24})
    for name, (x, y) in places.items():
        box = {"boxstyle": "round,pad=0.5", "facecolor": "#e8f1f4", "edgecolor": DEEP}
        axes.text(x, y, name, ha="center", va="center", color=INK, bbox=box)
    axes.set(xlim=(-0.4, 3.4), ylim=(-0.1, 1.1))
    axes.axis("off")


DRAWINGS: dict[str, Callable[[], bytes]] = {
    "topologies": topologies,
    "gradients": gradients,
    "verdicts": verdicts,
    "bounds": bounds,
}
"""Every drawing by the name of its file."""
