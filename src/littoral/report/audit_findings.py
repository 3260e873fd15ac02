"""An Audit, and maybe a study of its labels -> findings in order of weight, each with what to do about it.

Terminal, page and contact sheet all show these findings, so that they say the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from littoral.images.audit import Audit, ClassCount, Cluster, Item, Odd
from littoral.training.recipe import UNBALANCED
from littoral.words import count

if TYPE_CHECKING:
    from littoral.studies.label_errors import LabelErrors

NAMED = 4
"""Images of a cluster that a line of text names; the rest is counted."""


@dataclass(frozen=True)
class Picture:
    """An image to look at: its number in the store, its name, and what is to be said of it, in a phrase or none."""

    index: int
    name: str
    note: str = ""


@dataclass(frozen=True)
class Finding:
    """One kind of trouble: what (with its count), what to do, a line for each case, and the pictures that belong
    together. A finding without pictures has its lines alone."""

    heading: str
    advice: str
    lines: tuple[str, ...] = ()
    groups: tuple[tuple[Picture, ...], ...] = ()


def findings(audit: Audit, study: LabelErrors | None = None) -> list[Finding]:
    """What was found, the gravest first; empty where all is well."""
    return [
        *_unusable(audit),
        *_duplicates(audit, across=True),
        *([] if study is None else _suspects(study)),
        *_unreadable(audit),
        *_imbalance(audit),
        *_duplicates(audit, across=False),
        *_oddities(audit),
        *_undecided(audit),
    ]


def summary(audit: Audit) -> str:
    """How many images of what, and to what form they were brought, in a line."""
    height, width, channels = audit.form
    colour = "grey" if channels == 1 else "colour"
    text = f"{count(audit.images, 'readable image')} of {count(len(audit.classes), 'class', 'classes')}"
    if audit.images:
        own = "" if audit.median is None else f"; their own median is {audit.median[0]:g}×{audit.median[1]:g}"
        text += f", looked at as {height}×{width} {colour}{own}"
    if len(audit.modes) > 1:
        text += f"; modes: {', '.join(f'{mode} {number:,}' for mode, number in audit.modes.items())}"
    if audit.grey and audit.grey < audit.images:
        text += f"; {audit.grey:,} without colour"
    return text


def study_line(study: LabelErrors) -> str:
    """How good the judges of the labels were, in a line: suspects are worth no more than they."""
    low, high = (f"{100 * end:.1f}" for end in study.ci95)
    return (
        f"labels judged by preset {study.record['preset']}, {study.record['folds']} folds, "
        f"seed {study.record['seed']}: on images that it did not see, it gives the label they have for "
        f"{100 * study.accuracy:.1f} % (95 % interval {low} to {high}, n = {study.n:,}; "
        f"the largest class is {100 * study.majority:.1f} %)"
    )


def _unusable(audit: Audit) -> Iterable[Finding]:
    if not audit.images:
        yield Finding("no image can be read", "nothing else can be told; mend the files, or name another place")
    if len(audit.classes) == 1:
        yield Finding(
            f"there is one class, {audit.classes[0].name}", "a classifier needs two; give each class a folder or label"
        )
    if audit.groups_across:
        yield Finding(
            f"{count(audit.groups_across, 'group')} in several parts",
            "training would see what the test asks; split the data by groups, or leave the split out",
        )
    lacking = [f"{found.name}: {_lack(found)}" for found in audit.classes if _lack(found)]
    if lacking and audit.images:
        yield Finding(
            f"{count(len(lacking), 'class', 'classes')} cannot be trained and tested",
            "add images or leave the class out",
            tuple(lacking),
        )


def _lack(found: ClassCount) -> str:
    """Why a class cannot be both trained and tested, in a phrase; empty where it can."""
    if not found.images:
        return "no image that can be read"
    if found.parts:
        return "" if found.parts.get("train", 1) else "no image to train on"
    return "" if found.images > 1 else "one image"


def _duplicates(audit: Audit, across: bool) -> Iterable[Finding]:
    kinds: list[tuple[str, str, list[Cluster]]]
    classes = [cluster for cluster in audit.clusters if cluster.across_classes]
    parts = [cluster for cluster in audit.clusters if cluster.across_parts and not cluster.across_classes]
    inside = [cluster for cluster in audit.clusters if not cluster.across_parts and not cluster.across_classes]
    if across:
        kinds = [
            ("across classes", "one picture with several labels; keep it under the right one", classes),
            ("across parts", "the test asks what was trained on; keep each picture in one part", parts),
        ]
    else:
        kinds = [("inside a class", "they stay on one side of a split, and count for little more than one", inside)]
    for where, advice, clusters in kinds:
        if clusters:
            both = sum(cluster.across_parts for cluster in clusters) if where == "across classes" else 0
            exact = sum(cluster.kind == "exact" for cluster in clusters)
            how = {0: "nearly equal", len(clusters): "equal"}.get(exact, "equal or nearly equal")
            yield Finding(
                f"{count(len(clusters), 'cluster')} of {how} images {where}"
                + (f", {both:,} across parts too" * (both > 0)),
                advice,
                tuple(_cluster_line(cluster) for cluster in clusters),
                tuple(tuple(_member(cluster, item) for item in cluster.items) for cluster in clusters),
            )


def _cluster_line(cluster: Cluster) -> str:
    sign = " = " if cluster.kind == "exact" else " ≈ "
    shown = [f"{item.name}{_told(cluster, item, brackets=True)}" for item in cluster.items[:NAMED]]
    more = len(cluster.items) - NAMED
    return sign.join(shown) + (f" and {more:,} more" if more > 0 else "")


def _member(cluster: Cluster, item: Item) -> Picture:
    return Picture(item.index, item.name, _told(cluster, item, brackets=False))


def _told(cluster: Cluster, item: Item, brackets: bool) -> str:
    """In what the image differs from the others of its cluster."""
    words = [f"class {item.label}"] * cluster.across_classes + [item.part] * cluster.across_parts
    return f" ({', '.join(words)})" if brackets and words else ", ".join(words)


def _suspects(study: LabelErrors) -> Iterable[Finding]:
    if not study.learnt:
        yield Finding(
            "labels were not judged",
            "the network learnt no more than which class is the largest; try more images or another --preset",
        )
    elif study.suspects:
        notes = [
            f"labelled {it.item.label}, looks like {it.suggested} ({100 * it.confidence:.0f} %)"
            for it in study.suspects
        ]
        yield Finding(
            f"{count(len(study.suspects), 'label')} may be wrong",
            "look at them, the most doubtful first; some are right and only hard",
            tuple(f"{it.item.name}: {note}" for it, note in zip(study.suspects, notes, strict=True)),
            (
                tuple(
                    Picture(it.item.index, it.item.name, note) for it, note in zip(study.suspects, notes, strict=True)
                ),
            ),
        )


def _unreadable(audit: Audit) -> Iterable[Finding]:
    if audit.unreadable:
        number = len(audit.unreadable)
        yield Finding(
            f"{count(number, 'image')} {'is' if number == 1 else 'are'} unreadable",
            "left out of everything; mend or remove them",
            tuple(f"{name} {reason}" for name, reason in audit.unreadable),
        )


def _imbalance(audit: Audit) -> Iterable[Finding]:
    if audit.imbalance is not None and audit.imbalance > UNBALANCED:
        ordered = sorted(audit.classes, key=lambda found: found.images)
        yield Finding(
            f"the largest class has {audit.imbalance:.1f} times the images of the smallest",
            "judge by balanced accuracy; --balance auto makes each class count alike in training",
            tuple(f"{found.name}: {count(found.images, 'image')}" for found in (ordered[0], ordered[-1])),
        )


def _oddities(audit: Audit) -> Iterable[Finding]:
    for items, what, advice in (
        (
            audit.blank,
            f"{count(len(audit.blank), 'image')} of one colour",
            "nothing is to be seen on them; remove them",
        ),
        (
            audit.firsts,
            f"{count(len(audit.firsts), 'file')} with several pages or frames",
            "only the first picture of each is read; save the others as files of their own where they count",
        ),
    ):
        if items:
            pictures = tuple(Picture(item.index, item.name) for item in items)
            yield Finding(what, advice, tuple(item.name for item in items), (pictures,))
    for odd, what, advice in (
        (audit.odd_sizes, "odd size or proportions", "much of them is lost or made up when they get the size of all"),
        (audit.odd_modes, "odd mode or colours", "a network may learn this in place of what they show"),
    ):
        if odd:
            yield Finding(f"{count(len(odd), 'image')} of {what}", advice, _odd_lines(odd), (_odd_pictures(odd),))


def _odd_lines(odd: tuple[Odd, ...]) -> tuple[str, ...]:
    return tuple(f"{it.item.name}: {it.reason}" for it in odd)


def _odd_pictures(odd: tuple[Odd, ...]) -> tuple[Picture, ...]:
    return tuple(Picture(it.item.index, it.item.name, it.reason) for it in odd)


def _undecided(audit: Audit) -> Iterable[Finding]:
    if audit.declined:
        yield Finding(
            "nearly equal images are not listed",
            f"{audit.declined}; equal ones are, and where images belong together name groups",
        )
    if audit.skipped:
        yield Finding(
            f"{count(audit.skipped, 'file')} passed over",
            "hidden, no images, links, or beside the class folders; see that no image is among them",
        )
