"""`littoral profile`: parameters, multiply-accumulates, memory and time of a model, and of what it was exported to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from littoral.cli import options
from littoral.cli.output import print_json, print_table, print_wrapped, size_in_words
from littoral.cli.settings import set_threads

if TYPE_CHECKING:
    from littoral.deploy.profile import Profile


def profile(
    model: options.Model,
    exported: Annotated[
        Path | None,
        typer.Option("--with", help="A folder that `export` wrote of this model, to show side by side.", metavar="DIR"),
    ] = None,
    threads: options.Threads = None,
    json: options.Json = False,
) -> None:
    """Where a model's parameters and time go: by layer, by part, and in each form that it was exported to.

    Example: littoral profile digits.safetensors --with exported --threads 1
    """
    from dataclasses import asdict

    from littoral.deploy.profile import profile_model
    from littoral.model_file import load_model

    set_threads(threads)
    found = profile_model(load_model(model), exported, threads)
    if json:
        print_json({"model": str(model), "with": None if exported is None else str(exported)} | asdict(found))
        return
    _show(found)


def _show(found: Profile) -> None:
    print_wrapped(
        f"{found.params:,} parameters, {found.macs:,} multiply-accumulates an image; weights "
        f"{size_in_words(found.weights_bytes)}, maps {size_in_words(found.maps_bytes)} an image"
    )
    print()
    print_table(
        ["layer", "kind", "parameters", "MACs", "of all"],
        [
            [row.name, row.kind, f"{row.params:,}", f"{row.macs:,}", f"{100 * row.macs / max(found.macs, 1):.1f} %"]
            for row in found.layers
        ],
    )
    print()
    print_wrapped("one image in torch, from its normalised pixels on:")
    print_table(
        ["part", "ms", "of the time"], [[row.name, f"{row.ms:.3f}", f"{100 * row.share:.1f} %"] for row in found.parts]
    )
    print()
    print_wrapped(
        f"from pixels to answers, {found.threads} thread{'s' if found.threads > 1 else ''}; this machine multiplies "
        f"matrices at {found.matmul_gflops:,.0f} GFLOP/s:"
    )
    rows = []
    for form in found.forms:
        times = [f"{row.p50:.3f}" for row in form.latency]
        size = "" if form.bytes is None else f"{form.bytes / 1000:,.1f}"
        memory = "" if form.memory is None else f"{form.memory / 1e6:,.1f}"
        rows.append([form.form, size, memory, *times, "" if form.of_peak is None else f"{100 * form.of_peak:.1f} %"])
    times_of = [f"ms, {row.batch} at once" for row in found.forms[0].latency]
    print_table(["form", "kB", "MB of memory", *times_of, "of that rate"], rows)
