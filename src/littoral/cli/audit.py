"""`littoral audit`: what is wrong with labelled images, as text, JSON, a page and a contact sheet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from littoral.cli import options
from littoral.cli.data import parse_size, read_data, require_place
from littoral.cli.output import print_json, print_table, print_wrapped, say
from littoral.cli.settings import set_threads

if TYPE_CHECKING:
    from littoral.images.audit import Audit, ClassCount
    from littoral.images.load import Loaded
    from littoral.report.audit_findings import Finding
    from littoral.studies.label_errors import LabelErrors

SHOWN = 5
"""Cases of a finding that the text names; all are in the JSON."""

CLASSES = 30
"""Classes up to which the text lists each."""

JUDGES = "tiny"
"""The same as `littoral.studies.label_errors.PRESET`, which cannot be asked here without waiting for torch."""


def audit(
    context: typer.Context,
    data: options.Data,
    labels: Annotated[
        bool, typer.Option("--labels", help="Look for wrong labels too: trains five small networks.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for audit.html, contact-sheet.png and audit.json; made when its parent exists, and older "
            "ones in it are replaced.",
            show_default="no files",
        ),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="What judges the labels.", show_default=f"{JUDGES}, with --labels")
    ] = None,
    seed: options.Seed = 0,
    epochs: options.Epochs = None,
    steps: options.Steps = None,
    size: options.Size = None,
    channels: options.Channels = None,
    resize: options.ResizeBy = "pad",
    group: options.Group = None,
    group_from: options.GroupFrom = None,
    allow_outside: options.AllowOutside = False,
    memory: options.Memory = None,
    data_dir: options.DataDir = None,
    strict: options.Strict = False,
    device: options.Device = "auto",
    threads: options.Threads = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> int:
    """Look for what is wrong with the data: unreadable files, duplicates, odd images, classes, and wrong labels.

    Nothing in the data is changed. What matters most is said first.

    Example: littoral audit photos/ --labels --out audit
    """
    import shlex

    from littoral.errors import InputError, TrainingError
    from littoral.images.audit import audit_images
    from littoral.report.audit_findings import findings, study_line
    from littoral.report.audit_json import audit_json

    if not labels and (preset, epochs, steps, threads, seed, device) != (None, None, None, None, 0, "auto"):
        raise InputError(
            "--preset, --epochs, --steps, --threads, --seed and --device say how labels are judged: give --labels too, "
            "or leave them out"
        )
    if labels:
        _require_judges(preset or JUDGES, epochs, steps, threads)
    if out is not None:
        require_place(out, data)
    loaded = read_data(
        data,
        parse_size(size),
        channels,
        resize,
        group,
        group_from,
        allow_outside,
        memory,
        data_dir,
        strict=False,
        quiet=quiet,
        as_found=True,
    )
    found = audit_images(loaded)
    study, refusal = None, ""
    if labels:
        try:
            study = _judge(loaded, preset or JUDGES, seed, epochs, steps, device, quiet)
        except (InputError, TrainingError) as error:  # the rest of the audit is worth as much without it
            refusal = str(error)
    told = findings(found, study)
    notes = [] if study is None else [study_line(study)]
    command = shlex.join(["littoral", *context.obj])
    document = {"command": command} | audit_json(found, study)
    if out is not None:
        _write(out, document, found, told, notes, loaded, command)
    if json:
        print_json(document)
    else:
        _print(data, found, told, notes)
        if out is not None:
            print_wrapped(f"to look at: {out / 'audit.html'}, {out / 'contact-sheet.png'}")
    if refusal:
        say(f"littoral: {refusal}")
    if strict and loaded.unreadable:
        say(f"littoral: {loaded.left_out()}; mend or remove them, or leave --strict out")
    return 2 if refusal or (strict and loaded.unreadable) else 0


def _require_judges(preset: str, epochs: int | None, steps: int | None, threads: int | None) -> None:
    """Refuse what cannot be before images are read."""
    from littoral.studies.label_errors import require_cleanlab
    from littoral.training.presets import get_preset, require_length

    require_cleanlab()
    judges = get_preset(preset)
    require_length(judges, ["fused"], epochs, steps)
    judges.recipe.lasting(epochs, steps)
    set_threads(threads)


def _judge(
    loaded: Loaded, preset: str, seed: int, epochs: int | None, steps: int | None, device: str, quiet: bool
) -> LabelErrors:
    import contextlib

    from littoral.cli.progress import follow
    from littoral.studies.label_errors import FOLDS, find_label_errors
    from littoral.training.loop import Observer

    with contextlib.ExitStack() as stack:

        def observer(fold: int) -> Observer:
            stack.close()  # the bar of the fold before
            return stack.enter_context(follow(f"labels, fold {fold + 1} of {FOLDS}", quiet))

        return find_label_errors(loaded.store, loaded.names, preset, seed, epochs, steps, device, observer)


def _write(
    out: Path,
    document: dict[str, object],
    found: Audit,
    told: list[Finding],
    notes: list[str],
    loaded: Loaded,
    command: str,
) -> None:
    import io
    import json as encoder

    from littoral.files import write_atomically
    from littoral.report.audit_page import audit_page
    from littoral.report.contact_sheet import contact_sheet

    sheet = io.BytesIO()
    contact_sheet(f"Audit of {found.source}", told, loaded.store).save(sheet, "PNG", optimize=True)
    page = audit_page(found, told, notes, loaded.store, command)
    text = encoder.dumps(document, ensure_ascii=False, allow_nan=False, indent=2)
    out.mkdir(exist_ok=True)
    write_atomically(out / "audit.json", text.encode("utf-8", "backslashreplace"))
    write_atomically(out / "audit.html", page.encode())
    write_atomically(out / "contact-sheet.png", sheet.getvalue())


def _print(data: str, found: Audit, told: list[Finding], notes: list[str]) -> None:
    from littoral.report.audit_findings import summary

    print_wrapped(f"{data}: {summary(found)}")
    for note in notes:
        print_wrapped(note)
    for finding in told:
        print()
        print_wrapped(f"{finding.heading}: {finding.advice}")
        for line in finding.lines[:SHOWN]:
            print_wrapped(line, indent=2)
        if len(finding.lines) > SHOWN:
            print_wrapped(f"and {len(finding.lines) - SHOWN:,} more (--json and --out have all)", indent=2)
    if not told:
        print("\nnothing odd was found")
    print()
    _print_classes(found.classes)


def _print_classes(classes: tuple[ClassCount, ...]) -> None:
    from littoral.words import printable

    if len(classes) > CLASSES:
        counts = sorted(found.images for found in classes)
        print(
            f"{len(classes):,} classes of {counts[0]:,} to {counts[-1]:,} images, {counts[len(counts) // 2]:,} usually"
        )
        return
    lost = any(found.unreadable for found in classes)
    parts = list(classes[0].parts)
    print_table(
        ["class", "images", *parts, *["unreadable"] * lost],
        [
            [
                printable(found.name),
                f"{found.images:,}",
                *[f"{number:,}" for number in found.parts.values()],
                *[f"{found.unreadable:,}"] * lost,
            ]
            for found in classes
        ],
    )
