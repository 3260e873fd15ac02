"""`littoral cache`: what lies in the cache folder, and away with it."""

from __future__ import annotations

from typing import Annotated

import typer

from littoral.cli import options
from littoral.cli.output import print_json, print_table, size_in_words


def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Delete all of it.")] = False,
    json: options.Json = False,
) -> None:
    """What is kept on disk: decoded images of sets larger than --memory, and features. Made anew where missing.

    The folder is LITTORAL_CACHE, else littoral in XDG_CACHE_HOME or ~/.cache. Downloaded sets are not among them.

    Example: littoral cache --clear
    """
    from littoral.cache import ROOMS

    folder = ROOMS[0].folder.parent
    if clear:
        freed = sum(room.clear() for room in ROOMS)
        if json:
            print_json({"folder": str(folder), "freed_bytes": freed})
        else:
            print(f"{size_in_words(freed)} set free in {folder}")
        return
    found = [(room.name, entry) for room in ROOMS for entry in room.entries()]
    total = sum(entry.bytes for _, entry in found)
    if json:
        rows = [
            {
                "key": entry.folder.name,
                "kind": kind,
                "source": entry.notes["source"],
                "shape": entry.notes["shape"],
                "bytes": entry.bytes,
            }
            for kind, entry in found
        ]
        print_json({"folder": str(folder), "bytes": total, "entries": rows})
        return
    if found:
        print_table(
            ["first read from", "kind", "images", "each", "size"],
            [
                [
                    entry.notes["source"],
                    kind,
                    f"{entry.notes['shape'][0]:,}",
                    " × ".join(map(str, entry.notes["shape"][1:])),
                    size_in_words(entry.bytes),
                ]
                for kind, entry in found
            ],
        )
    print(f"{size_in_words(total)} in {folder}")
