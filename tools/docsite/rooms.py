"""The rooms of the package and which imports which, from the import contract and the code itself, as a drawing."""

from __future__ import annotations

import io
import re
import tomllib
from pathlib import Path
from typing import Any

import grimp
import matplotlib as mpl
import networkx as nx
from matplotlib.figure import Figure

ROOT = Path(__file__).parents[2]


def layers() -> list[list[str]]:
    """The layers of the import contract, the one that everything else rests on first."""
    return [re.split(r"\s*[|:]\s*", layer) for layer in reversed(_contract()["layers"])]


def imports() -> nx.DiGraph:
    """An edge from each room to each that it imports from, found in the code, without those that others imply.

    The calls upwards that the contract names are left out, as it does.
    """
    graph = grimp.build_graph("littoral", cache_dir=None, exclude_type_checking_imports=True)
    for named in _contract().get("ignore_imports", []):
        importer, imported = named.split(" -> ")
        graph.remove_import(importer=importer, imported=imported)
    rooms = [room for layer in layers() for room in layer]
    found = nx.DiGraph()
    found.add_nodes_from(rooms)
    for room in rooms:
        for other in rooms:
            if room != other and graph.find_shortest_chain(f"littoral.{room}", f"littoral.{other}", as_packages=True):
                found.add_edge(room, other)
    return nx.transitive_reduction(found)


def drawing() -> bytes:
    """The rooms as an SVG: data flows from top to bottom, as imports flow from bottom to top."""
    rows = layers()
    place = {
        room: ((number + 0.5) / len(row), -level) for level, row in enumerate(rows) for number, room in enumerate(row)
    }
    with mpl.rc_context({"svg.hashsalt": "littoral", "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure = Figure(figsize=(8, 0.85 * len(rows)), layout="constrained")
        axes = figure.subplots()
        box = {"boxstyle": "round,pad=0.4", "facecolor": "#e8f1f4", "edgecolor": "#2f5563"}
        patches = {}
        for room, (x, y) in place.items():
            text = axes.text(x, y, room, ha="center", va="center", fontsize=9, color="#12262e", bbox=box)
            patches[room] = text.get_bbox_patch()
        for room, other in imports().edges:
            arrow = {"arrowstyle": "-|>", "color": "#5a7d8c", "linewidth": 1, "shrinkA": 1, "shrinkB": 1}
            far = place[other][1] - place[room][1] > 1
            arrow |= {"patchA": patches[other], "patchB": patches[room], "connectionstyle": f"arc3,rad={0.12 * far}"}
            axes.annotate("", place[room], place[other], arrowprops=arrow)
        axes.set(xlim=(0, 1), ylim=(-len(rows) + 0.5, 0.5))
        axes.axis("off")
        return svg(figure)


def _contract() -> dict[str, Any]:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (contract,) = [contract for contract in contracts if contract["type"] == "layers"]
    return dict(contract)


def svg(figure: Figure) -> bytes:
    """A figure as SVG that is the same each time."""
    file = io.BytesIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()
