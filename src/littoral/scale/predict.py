"""Predictions for more images than fit in memory: a folder of Parquet files, part by part, here or on a Ray cluster.

A part is written whole, by this process, so a finished part is a file that exists, and the same call goes on from
there. What a part is, is `parts.py`'s; what predicts one, `predictor.py`'s; how parts get to a cluster, `pool.py`'s.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from littoral.deploy.exported import exported, file_of
from littoral.deploy.runtime import RuntimeFileError, load
from littoral.errors import InputError
from littoral.files import held_alone, require_folder, write_atomically
from littoral.scale.addresses import path_of
from littoral.scale.cluster import connected, require_cluster
from littoral.scale.listing import Listing, list_inputs
from littoral.scale.parts import FORMAT, Manifest, Part, cut, differences, fingerprint, images_in, part_file
from littoral.scale.pool import predicted_by_workers
from littoral.scale.predictor import Predictor, Setting, software
from littoral.words import path_text

MANIFEST = "predictions.json"
"""The file of a folder that says what it holds. It is written first."""

LOCK = ".lock"


@dataclass(frozen=True)
class Cluster:
    """Where parts are predicted: at the address of a Ray cluster, by so many workers; None: as many as have room."""

    address: str
    workers: int | None = None


@dataclass(frozen=True)
class Predicted:
    """What a folder holds now: images, of which `failed` could not be read; parts, of which `found` were there."""

    images: int
    failed: int
    parts: int
    found: int


def require_parts(out: Path, cluster: Cluster | None) -> None:
    """Raise InputError, within seconds, where pyarrow, onnxruntime, the folder or the cluster is missing."""
    if cluster is not None:
        require_cluster(cluster.address)
    if find_spec("pyarrow") is None:
        raise InputError("predictions in parts need pyarrow, which is not installed; pip install 'littoral[parquet]'")
    if find_spec("onnxruntime") is None:
        raise InputError("predictions in parts need onnxruntime, which is not installed; pip install 'littoral[onnx]'")
    require_folder(out)


def predict_parts(
    model: Path,
    named: Sequence[str],
    out: Path,
    top: int,
    part_size: int,
    threads: int,
    cluster: Cluster | None = None,
    on_listing: Callable[[Listing, int, int], None] = lambda listing, found, parts: None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Predicted:
    """Write `part-00000.parquet`, … of `part_size` images each to the folder `out`: exactly one row an image.

    `model`: an exported folder or file, or a model file, which is exported first. `named`: see `list_inputs`. `top`:
    labels an image. `threads`: to compute with; on a cluster, of each worker. Parts that are there already are left
    as they are. `on_listing` is told what was found, how many parts are there and how many there will be;
    `on_progress` the images done, and all.

    Raises InputError as `require_parts` and `list_inputs`, for a folder that holds anything else than the beginning of
    the same predictions, and for one that is in use.
    """
    require_parts(out, cluster)
    for name in named:
        place = path_of(name)
        if place is not None and Path(place).is_dir() and out.resolve().is_relative_to(Path(place).resolve()):
            raise InputError(f"--out {out} lies in {name}, whose images are to be predicted: name a folder elsewhere")
    sources = (listing := list_inputs(named)).sources
    parts = list(cut(sources, part_size))
    asked = Manifest(
        format=FORMAT,
        model=path_text(model.name),
        model_sha256=_sha256(file_of(model)),
        inputs=tuple(map(path_text, named)),
        inputs_sha256=fingerprint(sources),
        images=sum(map(images_in, sources)),
        part_size=part_size,
        parts=len(parts),
        top=top,
    )
    with _folder(out), held_alone(out / LOCK, str(out)):
        _begin(out, asked)
        failed = {number: _failed(out / part_file(number), part) for number, part in enumerate(parts)}
        left = [(number, parts[number]) for number, bad in failed.items() if bad is None]
        found, done = len(parts) - len(left), asked.images - sum(_size(part) for _, part in left)
        on_listing(listing, found, len(parts))
        on_progress(done, asked.images)
        if left:
            with exported(model, threads) as form, _engine(_setting(form, threads, top), left, cluster) as made:
                for number, content in made:
                    write_atomically(out / part_file(number), content)
                    failed[number] = _failed(io.BytesIO(content), parts[number])
                    done += _size(parts[number])
                    on_progress(done, asked.images)
    return Predicted(asked.images, sum(bad or 0 for bad in failed.values()), len(parts), found)


@contextmanager
def _folder(out: Path) -> Iterator[None]:
    """The folder, made where it is not there; one that was made for a model that cannot be run goes again."""
    new = not out.exists()
    out.mkdir(exist_ok=True)
    try:
        yield
    except InputError:
        if new and not finished(out):
            for name in (MANIFEST, LOCK):
                (out / name).unlink(missing_ok=True)
            with suppress(OSError):  # something else is in there by now
                out.rmdir()
        raise


def finished(out: Path) -> int:
    """How many parts a folder holds."""
    return len(list(out.glob("part-*.parquet")))


@contextmanager
def _engine(
    setting: Setting, parts: list[tuple[int, Part]], cluster: Cluster | None
) -> Iterator[Iterator[tuple[int, bytes]]]:
    """(number, content of its file) of each part, from this process or from a cluster's."""
    if cluster is None:
        predictor = Predictor(setting)
        yield ((number, predictor.predict(part)) for number, part in parts)
        return
    with connected(cluster.address), closing(predicted_by_workers(setting, parts, cluster.workers)) as made:
        yield made


def _setting(form: Path, threads: int, top: int) -> Setting:
    """Raises InputError for a model that is broken, or has fewer classes than labels are asked for."""
    try:
        model = load(form, threads)
    except RuntimeFileError as error:
        raise InputError(str(error)) from error
    if top > len(model.class_names):
        raise InputError(f"--top must be 1 to {len(model.class_names)}, the model's number of classes, got {top}")
    file = file_of(form)
    return Setting(file.read_bytes(), str(file), threads, top, os.getcwd(), software())


def _begin(out: Path, asked: Manifest) -> None:
    """Write the manifest into a folder without parts; raise InputError unless those of another go on from the same."""
    file = out / MANIFEST
    if not file.exists() and any(not one.name.startswith(".") for one in out.iterdir()):
        raise InputError(f"{out} is not empty, and holds no predictions: name another folder, or empty it")
    if not finished(out):
        write_atomically(file, json.dumps(asdict(asked), indent=2).encode())
        return
    try:
        found = TypeAdapter(Manifest).validate_json(file.read_bytes())
    except (ValidationError, OSError) as error:
        raise InputError(f"{file} does not say what the folder holds: name another folder, or empty it") from error
    if other := differences(found, asked):
        raise InputError(f"{out} holds other predictions: {'; '.join(other)}; name another folder, or empty it")


def _failed(file: Any, part: Part) -> int | None:
    """How many images of a part could not be read; None where its file is not there.

    Raises InputError for a file that has not one row for each image.
    """
    import pyarrow
    import pyarrow.parquet

    if isinstance(file, Path) and not file.exists():
        return None
    try:
        about = pyarrow.parquet.read_metadata(file)
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{file} is not a readable Parquet file: delete it, and it is made anew") from error
    if about.num_rows != _size(part):
        raise InputError(
            f"{file} has {about.num_rows:,} rows, expected {_size(part):,}: delete it, and it is made anew"
        )
    groups = [about.row_group(number) for number in range(about.num_row_groups)]
    if "error" not in about.schema.names:
        raise InputError(f"{file} has no column error, as predictions have: delete it, and it is made anew")
    errors = about.schema.names.index("error")
    return int(sum(group.num_rows - group.column(errors).statistics.null_count for group in groups))


def _size(part: Part) -> int:
    return sum(map(images_in, part))


def _sha256(file: Path) -> str:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}; name a model file or an exported folder") from error
