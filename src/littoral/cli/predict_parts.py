"""`littoral predict` for more images than fit in memory: a folder of Parquet files, part by part, here or by Ray."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from littoral.cli.data import bar
from littoral.cli.interrupt import Interrupted, kept_in
from littoral.cli.output import print_json, print_wrapped, say
from littoral.errors import InputError
from littoral.machine import cores
from littoral.words import count

if TYPE_CHECKING:
    from littoral.scale.listing import Listing


@dataclass(frozen=True)
class PartOptions:
    """The options of `littoral predict`, as they were given."""

    top: int
    format: str | None
    out: Path | None
    strict: bool
    part_size: int | None
    ray: str | None
    workers: int | None
    device: str
    threads: int | None
    json: bool
    quiet: bool


def predict_in_parts(model: Path, paths: Sequence[str], asked: PartOptions) -> int:
    """Predict, or go on with it, and say what the folder holds then; the exit code.

    Raises InputError for options that do not go together, and Interrupted, which says what is kept.
    """
    from littoral.deploy.exported import is_model_file
    from littoral.scale.parts import PART_SIZE
    from littoral.scale.predict import Cluster, finished, predict_parts

    out = _require_options(asked)
    cluster = None if asked.ray is None else Cluster(asked.ray, asked.workers)
    threads = asked.threads or (cores() if cluster is None else 1)

    def tell(listing: Listing, found: int, parts: int) -> None:
        if listing.passed:
            say(f"{count(listing.passed, 'file')} passed over: hidden or no images")
        if found and not asked.quiet:
            say(f"{out}: {found:,} of {count(parts, 'part')} found")
        if found < parts and is_model_file(model) and not asked.quiet:
            say("exporting the model first: a minute or so, several for large models")

    with bar("predicting", asked.quiet) as on_progress:
        try:
            done = predict_parts(
                model, paths, out, asked.top, asked.part_size or PART_SIZE, threads, cluster, tell, on_progress
            )
        except Interrupted:
            raise kept_in(out, finished(out), "finished part") from None
    if done.failed:
        say(f"{done.failed:,} of {count(done.images, 'image')} could not be read; their rows say why")
    if asked.json:
        print_json(
            {
                "model": str(model),
                "out": str(out),
                "count": done.images,
                "failed": done.failed,
                "parts": done.parts,
                "found": done.found,
            }
        )
    else:
        print_wrapped(f"{out}: {count(done.images, 'image')} in {count(done.parts, 'part')}")
    return 2 if done.failed and asked.strict else 0


def _require_options(asked: PartOptions) -> Path:
    """The folder to write into; raises InputError where there is none, and for options that parts cannot follow."""
    if asked.workers is not None and asked.ray is None:
        raise InputError("--workers are processes on a Ray cluster: give --ray too")
    if asked.out is None:
        raise InputError(
            "tables, packs, URIs, --part-size and --ray give predictions in parts: name a folder for them by --out"
        )
    if asked.format not in (None, "parquet"):
        raise InputError(f"predictions in parts are Parquet files, not {asked.format}: leave --format out")
    if asked.device not in ("auto", "cpu"):
        raise InputError(f"predictions in parts are made on CPUs, not on {asked.device}: leave --device out")
    if asked.top < 1:
        raise InputError(f"--top must be 1 or more, got {asked.top}")
    if asked.threads is not None and asked.threads < 1:
        raise InputError(f"--threads must be at least 1, got {asked.threads}")
    return asked.out
