"""Where images lie: folders, and paths named by a user -> an ImageTable, or image files in a settled order.

Tables in files (CSV, Parquet, npz) are read by `tabular.py`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from littoral.errors import InputError
from littoral.images.idx import is_idx_images, read_idx_folder, read_idx_pair
from littoral.images.pack import is_pack, read_pack
from littoral.images.table import PART_NAMES, ImageTable
from littoral.images.tabular import read_csv, read_npz, read_parquet

SUFFIXES = (".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp")


def read_table(
    place: Path, group_column: str | None = None, group_from: str | None = None, allow_outside: bool = False
) -> ImageTable:
    """The labelled images at `place`: a folder of class folders or IDX pairs, or a .csv, .parquet, .npz or IDX file.

    Folders: `CLASS/image`, or `train|val|test/CLASS/image` where every folder on top has a name of PART_NAMES; or a
    pack, see `pack.py`. A folder without class folders may hold IDX pairs as MNIST's:
    `train-images-idx3-ubyte` and `train-labels-idx1-ubyte`, and `t10k-…` or `test-…` as the test part, each maybe with
    `.gz`. One IDX images file finds its labels beside it and comes unsplit.

    `group_column`: the column of a table that names each image's group. `group_from`: a regular expression searched in
    each image's path; what its first bracket (or all of it) matches is the group. `allow_outside`: paths in a table may
    lead out of the table's folder.

    Raises InputError for a place that holds no labelled images in one of these forms.
    """
    suffix = place.suffix.lower()
    if group_column is not None and (place.is_dir() or suffix not in (".csv", ".parquet")):
        raise InputError(f"--group names a column of a CSV or Parquet table, and {place} is none; use --group-from")
    if place.is_dir() and is_pack(place):
        table = read_pack(place)
    elif place.is_dir():
        table = _read_folder(place)
    elif not place.exists():
        raise InputError(f"no such file or folder: {place}")
    elif suffix == ".csv":
        table = read_csv(place, group_column, allow_outside)
    elif suffix == ".parquet":
        table = read_parquet(place, group_column, allow_outside)
    elif suffix == ".npz":
        table = read_npz(place)
    elif is_idx_images(place):
        table = read_idx_pair(place)
    else:
        raise InputError(
            f"cannot read {place} as labelled images: expected a folder, .csv, .parquet or .npz, "
            "or an IDX file called X-images-idx3-ubyte, maybe with .gz"
        )
    return table if group_from is None else replace(table, groups=_groups_from(table, group_from))


def image_files(paths: Sequence[Path]) -> tuple[list[Path], int]:
    """Each file as named, and for a folder the image files in it and below it, sorted; and how many were passed over.

    Raises InputError for a path that does not exist and for a folder without images.
    """
    found: list[Path] = []
    passed = 0
    for path in paths:
        if path.is_dir():
            inside, others = walk(path)
            if not inside:
                raise InputError(f"no images in the folder {path}: expected files ending in {', '.join(SUFFIXES)}")
            found += inside
            passed += others
        elif path.is_file():
            found.append(path)
        else:
            raise InputError(f"{'not a file' if path.exists() else 'no such file'} or folder: {path}")
    return found, passed


def walk(folder: Path, suffixes: tuple[str, ...] = SUFFIXES) -> tuple[list[Path], int]:
    """Files in and below a folder that end so, sorted, and how many other or hidden files and links to folders there
    are. Links to folders are not followed, so that none can lead in a circle.

    Raises InputError for a folder that cannot be listed.
    """
    files: list[str] = []
    others = 0
    waiting = [os.fspath(folder)]
    while waiting:
        here = waiting.pop()
        try:
            with os.scandir(here) as found:
                for entry in found:  # what an entry is comes with the listing: no look at each file
                    if entry.is_dir(follow_symlinks=False):
                        if not entry.name.startswith("."):
                            waiting.append(entry.path)
                    elif not entry.name.startswith(".") and entry.name.lower().endswith(suffixes) and _is_file(entry):
                        files.append(entry.path)
                    else:
                        others += 1
        except OSError as error:
            raise InputError(f"cannot list the folder {error.filename}: {error.strerror}") from error
    return sorted(map(Path, files)), others


def _read_folder(place: Path) -> ImageTable:
    skipped = sum(path.is_file() or path.is_symlink() for path in place.iterdir())
    tops: dict[Path, list[Path]] = {}
    for top in sorted(place.iterdir()):
        if top.is_dir() and not top.is_symlink() and not top.name.startswith("."):
            tops[top], others = walk(top)
            skipped += others
    empty = tuple(top.name for top, files in tops.items() if not files)
    tops = {top: files for top, files in tops.items() if files}
    named = [top for top in tops if top.name.lower() in PART_NAMES]
    given = bool(named) and len(named) == len(tops)
    # a class may be called "train"; but a folder "train" of class folders beside others is a slip
    holds_classes = [top for top in named if not any(file.parent == top for file in tops[top])]
    if holds_classes and not given:
        odd = next(top for top in tops if top not in named)
        raise InputError(
            f"{place} holds {holds_classes[0].name}, a part with class folders, beside {odd.name}, which is none of "
            f"{', '.join(PART_NAMES)}: move one of them elsewhere"
        )
    rows: list[tuple[Path, str, str]] = []  # file, label, part
    for top, files in tops.items():
        for file in files:
            inside = file.relative_to(top).parts
            if not given:
                rows.append((file, top.name, ""))
            elif len(inside) > 1:
                rows.append((file, inside[0], PART_NAMES[top.name.lower()]))
            else:  # beside the class folders: it has no class
                skipped += 1
    if not rows:
        table = read_idx_folder(place)
        if table is not None:
            return table
        raise InputError(
            f"no labelled images in the folder {place}: expected CLASS/image or train|val|test/CLASS/image, "
            f"with files ending in {', '.join(SUFFIXES)}{_links_told(place)}"
        )
    return ImageTable(
        images=tuple(file for file, _, _ in rows),
        names=tuple(str(file).removeprefix(os.path.join(place, "")) for file, _, _ in rows),
        labels=tuple(label for _, label, _ in rows),
        groups=None,
        split=tuple(part for _, _, part in rows) if given else None,
        source=str(place),
        skipped=skipped,
        empty=() if given else empty,
    )


def _links_told(place: Path) -> str:
    """What to add for a folder whose classes, or parts' classes, may be links to folders."""
    tops = sorted(place.iterdir())
    looked_into = [top for top in tops if top.is_dir() and not top.is_symlink() and not top.name.startswith(".")]
    inside = [path for top in looked_into for path in sorted(top.iterdir())]
    links = [path.name for path in (*tops, *inside) if path.is_symlink() and path.is_dir()]
    return f"; links to folders, such as {links[0]}, are not followed: put the folders there" if links else ""


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a link that leads in a circle, or where one may not look
        return False


def _groups_from(table: ImageTable, pattern: str) -> tuple[str, ...]:
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise InputError(f"--group-from needs a regular expression, got {pattern!r}: {error}") from error
    if not table.paths:
        is_npz = table.source.lower().endswith(".npz")
        raise InputError(
            f"--group-from looks at paths, and images of {table.source} have none: "
            + ("add an array groups to it" if is_npz else "give a table with a column group")
        )
    groups = []
    for name in table.names:
        match = expression.search(name)
        group = match and (match.group(1) if expression.groups else match.group())
        if not group:
            raise InputError(f"--group-from {pattern!r} matches nothing in {name!r}; every image needs a group")
        groups.append(group)
    return tuple(groups)
