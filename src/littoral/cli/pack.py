"""`littoral pack`: many image files as few Parquet files with an index, which every command takes as DATA."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from littoral.cli import options
from littoral.cli.data import bar
from littoral.cli.output import print_json, print_wrapped, say
from littoral.words import count


def pack(
    data: Annotated[
        Path,
        typer.Argument(metavar="DATA", help="A folder, or a .csv, .parquet, .npz or IDX file.", show_default=False),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="An empty folder, or one to be made.", show_default=False)],
    group: options.Group = None,
    group_from: options.GroupFrom = None,
    allow_outside: options.AllowOutside = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Pack labelled images, as they are encoded, into a folder of Parquet files, with their groups and parts.

    Example: littoral pack photos/ packed
    """
    from dataclasses import asdict

    from littoral.images.pack import pack as write_pack
    from littoral.images.pack import require_pack_folder
    from littoral.images.sources import read_table

    require_pack_folder(out)
    table = read_table(data, group, group_from, allow_outside)
    with bar("packing images", quiet) as on_progress:
        index = write_pack(table, out, on_progress)
    if index.unreadable:
        shown = "; ".join(index.unreadable[:10])
        say(f"{data}: {count(len(index.unreadable), 'image')} left out, whose files cannot be opened: {shown}")
    if json:
        print_json({"out": str(out)} | asdict(index))
        return
    size = sum(part.bytes for part in index.parts)
    print_wrapped(
        f"{out}: {count(index.images, 'image')} of {count(len(index.classes), 'class', 'classes')} in "
        f"{count(len(index.parts), 'part')}, {size / 1e6:,.1f} MB"
    )
