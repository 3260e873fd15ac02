"""Parts of a comparison's page that show images: mistakes, what branches save, where models look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from littoral.report.markup import folded, paragraph, section, table, text
from littoral.report.sprite import heat_uri, place
from littoral.words import count

Summary = Mapping[str, Any]


def mistakes_part(summary: Summary) -> str:
    """The mistakes that the judged arm is surest of, with what its branches say."""
    found = summary["mistakes"]
    figures = "".join(
        _figure(
            summary,
            it,
            f"is {summary['classes'][it['label']]}; wrong with {it['wrong']} of {count(it['runs'], 'seed')}",
        )
        for it in found["shown"]
    )
    heads, rows = opinions_table(summary, found["shown"])
    folded_table = folded("The pictures as a table", table("Mistakes", heads, rows)) if rows else ""
    return section(
        "mistakes",
        "The surest mistakes",
        paragraph(mistakes_words(summary)) + f'<div class="pictures">\n{figures}</div>\n' + folded_table,
    )


def mistakes_words(summary: Summary) -> str:
    """How many mistakes there are, and which are shown."""
    found = summary["mistakes"]
    told = (
        f"{summary['judged']}, averaged over seeds, is wrong on {found['total']:,} of "
        f"{count(found['images'], 'test image')}."
    )
    return f"{told} These are the {len(found['shown'])} that it is surest of." if found["shown"] else told


def opinions_table(summary: Summary, shown: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Heads and rows: the images, their classes, and what each of those asked says of them."""
    classes = summary["classes"]
    who = list(dict.fromkeys(name for it in shown for name, _, _ in it["opinions"]))
    rows = []
    for it in shown:
        said = {name: f"{classes[told]} ({100 * p:.0f} %)" for name, told, p in it["opinions"]}
        rows.append([it["name"], classes[it["label"]], *[said.get(name, "–") for name in who]])
    return ["image", "is", *who], rows


def branches_part(summary: Summary) -> str:
    """Where one branch is right and the other wrong."""
    found = summary["branches"]
    if found is None:
        return ""
    content = paragraph(branches_words(summary))
    for way in found["ways"]:
        saved = rescue_words(summary, way)
        figures = "".join(_figure(summary, it, f"is {summary['classes'][it['label']]}") for it in way["shown"])
        content += f"<h3>{text(way['right'])} saves {text(way['wrong'])}</h3>\n{paragraph(saved)}"
        if way["shown"]:
            heads, rows = opinions_table(summary, way["shown"])
            content += f'<div class="pictures">\n{figures}</div>\n'
            content += folded("The pictures as a table", table(f"{way['right']} saves {way['wrong']}", heads, rows))
    return section("branches", "Where one branch saves the other", content)


def branches_words(summary: Summary) -> str:
    """On how many images both branches are right, and on how many neither."""
    found = summary["branches"]
    one, other = found["ways"]
    alone = "each trained alone" if found["alone"] else f"as heads of {summary['judged']}"
    return (
        f"{one['right']} and {other['right']}, {alone} and averaged over seeds: both are right on {found['both']:,} "
        f"test images, neither on {found['neither']:,}."
    )


def rescue_words(summary: Summary, way: Mapping[str, Any]) -> str:
    """How many images one branch alone tells right, and what the judged arm makes of them."""
    words = f"{way['right']} is right and {way['wrong']} is not on {count(way['total'], 'image')}"
    if way["total"] and summary["judged"] not in (way["right"], way["wrong"]):
        words += f"; {summary['judged']} tells {way['judged_right']:,} of them right"
    shown = len(way["shown"])
    return f"{words}. Shown are the {shown} on which they differ most." if shown < way["total"] else f"{words}."


def looks_part(summary: Summary) -> str:
    """Where each model, and each head of it, looks on a few images."""
    found = summary["looks"]
    if found is None or summary["pictures"] is None:
        return ""
    images, classes = len(found["images"]), len(summary["classes"])
    whose = "each class" if images == classes else f"{images} of the {classes} classes"
    content = paragraph(
        f"A square is moved over the image, and the evidence for its class that is lost is shown where it lay: orange "
        f"speaks for the class, blue against it. Each map has a scale of its own. Models of seed {found['seed']}; the "
        f"first test image of {whose}."
    )
    for it in found["images"]:
        label, maps = summary["classes"][it["label"]], ""
        for one in it["maps"]:
            maps += (
                f'<li><figure><span class="look">{_picture(summary, it["row"])}'
                f'<img src="{heat_uri(one["grid"])}" alt=""></span><figcaption><b>{text(one["who"])}</b>'
                f"{text(label)} ({100 * one['p']:.0f} %)</figcaption></figure></li>\n"
            )
        content += f"<h3>{text(_name(summary, it['row']))}, {text(label)}</h3>\n"
        content += f'<ul class="looks">\n<li><figure>{_picture(summary, it["row"])}'
        content += f"<figcaption><b>the image</b></figcaption></figure></li>\n{maps}</ul>\n"
    folded_table = folded("The maps as a table", table("Where models look", *looks_table(summary)))
    return section("looks", "What each branch looks at", content + folded_table)


def looks_table(summary: Summary) -> tuple[list[str], list[list[str]]]:
    """Heads and rows: what each answer rests on most, and where that lies."""
    heads = ["image", "is", "who", "sure of it %", "most evidence lost, bits", "where: down %", "across %"]
    if summary["looks"] is None or summary["pictures"] is None:
        return heads, []
    rows = [
        [
            _name(summary, it["row"]),
            summary["classes"][it["label"]],
            one["who"],
            f"{100 * one['p']:.1f}",
            *_strongest(one["grid"]),
        ]
        for it in summary["looks"]["images"]
        for one in it["maps"]
    ]
    return heads, rows


def _figure(summary: Summary, it: Mapping[str, Any], note: str) -> str:
    said = "".join(
        f"<br>{text(who)}: {text(summary['classes'][told])} ({100 * p:.0f} %)" for who, told, p in it["opinions"]
    )
    return (
        f"<figure>{_picture(summary, it['row'])}<figcaption><b>{text(it['name'])}</b>{text(note)}{said}</figcaption>"
        "</figure>\n"
    )


def _picture(summary: Summary, row: int) -> str:
    number = _places(summary)[row]
    name = text(summary["pictures"]["names"][number])
    return f'<span class="pic" role="img" aria-label="{name}" style="{place(number)}"></span>'


def _places(summary: Summary) -> dict[int, int]:
    return {} if summary["pictures"] is None else {row: it for it, row in enumerate(summary["pictures"]["rows"])}


def _name(summary: Summary, row: int) -> str:
    return str(summary["pictures"]["names"][_places(summary)[row]])


def _strongest(grid: Any) -> list[str]:
    """The most evidence lost, and where: the middle of the place, in per cent of the height and of the width."""
    row, column = np.unravel_index(int(np.argmax(grid)), grid.shape)
    down, across = (row + 0.5) / grid.shape[0], (column + 0.5) / grid.shape[1]
    return [f"{grid[row, column]:.1f}", f"{100 * down:.0f}", f"{100 * across:.0f}"]
