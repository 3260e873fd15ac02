"""`littoral features`: what branches make of images, as a file for a classifier or an index of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from littoral.cli import options
from littoral.cli.data import bar, data_json, parse_size, read_data
from littoral.cli.output import print_json, print_table
from littoral.cli.settings import set_threads
from littoral.words import path_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def features(
    data: options.Data,
    out: Annotated[Path, typer.Option(help="Write them there: a .npz or a .parquet file.", show_default=False)],
    branches: Annotated[
        str | None,
        typer.Option(
            help="By name, separated by commas: hog, lbp, colours, moments, gabor, scattering, efficientnet-lite0.",
            show_default="hog,lbp,colours,moments",
        ),
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="A model file, whose branches are taken.", show_default=False)
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            help="Side, or height x width, that images are brought to.",
            show_default="their median, up to 64; efficientnet-lite0: 160; the model's",
        ),
    ] = None,
    channels: options.Channels = None,
    resize: Annotated[str | None, typer.Option(help="pad, stretch or crop.", show_default="pad; the model's")] = None,
    allow_outside: options.AllowOutside = False,
    memory: options.Memory = None,
    data_dir: options.DataDir = None,
    strict: options.Strict = False,
    device: options.Device = "auto",
    threads: options.Threads = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """One row an image: path, label, split, and its features as they are, not standardised.

    Those of fixed and frozen branches are kept in the cache, and not computed again for the same images.

    Example: littoral features photos/ --branches hog,efficientnet-lite0 --out features.parquet
    """
    from littoral.cli.feature_files import require_feature_place, write_features
    from littoral.errors import InputError
    from littoral.images.named import NAMES
    from littoral.model_file import load_model
    from littoral.nn.networks import BUILT_IN
    from littoral.nn.onnx_session import in_sessions
    from littoral.training.extract import BACKBONE_SIDE, LIGHT, extracted, named_branches, require_known
    from littoral.training.features import feature_groups
    from littoral.training.run import choose_device

    place = choose_device(device)
    set_threads(threads)
    names = list(LIGHT) if branches is None else [name.strip() for name in branches.split(",")]
    require_known(names)
    require_feature_place(out, [Path(data), *([] if model is None else [model])])
    trained = None
    form = parse_size(size), channels, resize or "pad"
    if model is not None:
        if branches is not None or form != (None, None, "pad") or resize is not None:
            raise InputError("a model has branches and an image form of its own: give neither beside --model")
        trained = load_model(model)
        trained.model.to(place)
        if data not in NAMES:
            form = (trained.image.height, trained.image.width), trained.image.channels, trained.image.resize
    loaded = read_data(
        data,
        *form,
        None,
        None,
        allow_outside,
        memory,
        data_dir,
        strict,
        quiet,
        largest=BACKBONE_SIDE if set(names) & set(BUILT_IN) else None,
        least_classes=1,
    )
    store = loaded.store
    groups: dict[str, NDArray[np.float32]]
    with bar("computing features", quiet) as on_progress:
        if trained is None:
            spec = store.spec()
            chosen = named_branches(names, spec.shape)
            groups = feature_groups(chosen, store.images, spec, store.source, place, on_progress)
        else:
            spec = trained.image
            if store.spec().shape != spec.shape:
                raise InputError(
                    f"the model takes images (channels, height, width) of {spec.shape}, but {data} has "
                    f"{store.spec().shape}"
                )
            sizes = {name: feature.size for name, feature in trained.model.config.fused_specs().items()}
            with in_sessions(trained.model):
                values = extracted(trained.model.branch_features, sizes, store.images, spec, place, on_progress)
            groups = _parted(values, sizes)
    columns = {
        "path": [path_text(name) for name in loaded.names] or None,
        "label": [store.class_names[label] for label in store.labels],
        "split": None if store.split is None else store.split.tolist(),
    }
    write_features(groups, columns, out)
    sizes = {name: values.shape[1] for name, values in groups.items()}
    if json:
        about = {"data": data, "out": str(out), "images": len(store), "model": None if model is None else str(model)}
        shape = {"form": [spec.height, spec.width, spec.channels], "size": sum(sizes.values())}
        listed = [{"name": name, "size": size} for name, size in sizes.items()]
        print_json(about | shape | {"groups": listed} | data_json(loaded))
        return
    form_text = f"{spec.height}×{spec.width}×{spec.channels}"
    print(f"{out}: {len(store):,} images of {form_text}, {sum(sizes.values()):,} numbers each\n")
    print_table(["group", "numbers"], [[name, f"{size:,}"] for name, size in sizes.items()])


def _parted(values: NDArray[np.float32], sizes: dict[str, int]) -> dict[str, NDArray[np.float32]]:
    """The columns of each group."""
    parted, start = {}, 0
    for name, size in sizes.items():
        parted[name] = values[:, start : start + size]
        start += size
    return parted
