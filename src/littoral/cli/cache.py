"""`littoral cache`: what lies in the cache folder, and away with it."""

from __future__ import annotations

from typing import Annotated

import typer

from littoral.cli import options
from littoral.cli.output import print_json, print_table


def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Delete all of it.")] = False,
    json: options.Json = False,
) -> None:
    """Decoded images that are kept on disk: of sets larger than --memory. They are made anew where they are missing.

    The folder is LITTORAL_CACHE, else littoral in XDG_CACHE_HOME or ~/.cache. Downloaded sets are not among them.

    Example: littoral cache --clear
    """
    from littoral.images.cache import cache_folder, clear_entries, entries

    folder = cache_folder()
    if clear:
        freed = clear_entries()
        if json:
            print_json({"folder": str(folder), "freed_bytes": freed})
        else:
            print(f"{_size(freed)} set free in {folder}")
        return
    found = entries()
    if json:
        rows = [
            {"key": entry.folder.name, "source": entry.notes["source"], "shape": entry.shape, "bytes": entry.bytes}
            for entry in found
        ]
        print_json({"folder": str(folder), "bytes": sum(entry.bytes for entry in found), "entries": rows})
        return
    if found:
        print_table(
            ["first read from", "images", "height × width × channels", "size"],
            [
                [
                    entry.notes["source"],
                    f"{entry.shape[0]:,}",
                    " × ".join(map(str, entry.shape[1:])),
                    _size(entry.bytes),
                ]
                for entry in found
            ],
        )
    print(f"{_size(sum(entry.bytes for entry in found))} in {folder}")


def _size(count: int) -> str:
    """Bytes in the unit that a person would use."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
