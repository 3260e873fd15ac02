"""Arguments and options that several commands share, each written once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="A folder (CLASS/image or train|val|test/CLASS/image), a .csv, .parquet, .npz or IDX file, or a public "
        "set by name: mnist, fashion-mnist, kmnist, cifar10, pathmnist, … (docs/data.md).",
        show_default=False,
    ),
]
Size = Annotated[
    str | None,
    typer.Option(
        help="Side, or height x width, that images are brought to.",
        show_default="their median, up to 64; tiny: 32, transfer: 160",
    ),
]
Channels = Annotated[
    int | None, typer.Option(min=1, max=3, help="1 (grey) or 3 (colour).", show_default="1 when all images are grey")
]
ResizeBy = Annotated[
    str,
    typer.Option(
        help="pad (the whole picture, the rest filled with its border's mean), stretch (the whole, out of proportion) "
        "or crop (in proportion, what hangs over cut off)."
    ),
]
Memory = Annotated[
    float | None,
    typer.Option(help="Gigabytes of images to hold in memory; more lie in a file.", show_default="a quarter of it"),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        help="Folder with the original files of a public set.",
        show_default="LITTORAL_DATA, else what was downloaded",
    ),
]
Balance = Annotated[
    str | None,
    typer.Option(
        help="Against classes of unequal size: none, loss (weighs each class alike), sampler (draws each alike), or "
        "auto (loss where the largest class has over twice the images of the smallest).",
        show_default="the preset's: none",
    ),
]
Group = Annotated[
    str | None,
    typer.Option(help="Column of a table that names what images belong to; one group stays on one side of a split."),
]
GroupFrom = Annotated[
    str | None,
    typer.Option(help="Regular expression that finds each image's group in its path, such as '([^/]*)_[^/]*$'."),
]
AllowOutside = Annotated[
    bool, typer.Option("--allow-outside", help="Paths in a table may lead out of the table's folder.")
]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with 2 when an image cannot be read.")]
Model = Annotated[Path, typer.Argument(metavar="MODEL", help="A model file (.safetensors).", show_default=False)]
Preset = Annotated[
    str | None,
    typer.Option(
        help="A named model and recipe; `littoral presets` lists them. Or a file .toml, as `littoral tune` writes it. "
        "fit, compare and curve take auto too: the best of few, probe and transfer on some training images.",
        show_default="few up to 1,000 training images a class, swift from there on",
    ),
]
Arms = Annotated[
    str | None,
    typer.Option(
        help="Arms by name, separated by commas; `littoral presets` lists them.",
        show_default="fused,shallow,deep,matched",
    ),
]
Seed = Annotated[
    int, typer.Option(min=0, max=2**31 - 1, help="Seed of first weights, order of images and label budget.")
]
Seeds = Annotated[int, typer.Option(min=1, help="How many seeds, from --seed up.")]
LabelsPerClass = Annotated[
    int | None, typer.Option(help="Train on this many images of each class only.", show_default="all")
]
Epochs = Annotated[
    int | None,
    typer.Option(
        help="Passes over the training images; of few images 50 batches count as one, but in `article`.",
        show_default="the preset's; article: 100",
    ),
]
Steps = Annotated[
    int | None, typer.Option(help="Batches to train on, in place of --epochs.", show_default="the preset's")
]
Device = Annotated[str, typer.Option(help="auto (a GPU where there is one), cpu, or a GPU's name such as cuda:0.")]
Threads = Annotated[int | None, typer.Option(help="CPU threads to compute with.", show_default="all cores")]
Log = Annotated[
    str | None,
    typer.Option(
        help="Write curves of the training too: tensorboard:DIR, for `tensorboard --logdir DIR`; needs the extra log.",
        metavar="KIND:DIR",
        show_default="no curves",
    ),
]
Ray = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="ADDRESS|local",
        help="Do the runs on a Ray cluster, several at once: HOST:PORT of its head, or local for this machine alone.",
        show_default="one after the other, here",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else on standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress on standard error.")]
