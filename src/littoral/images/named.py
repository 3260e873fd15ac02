"""Data sets asked for by name -> an ImageStore: from the package, from local files, or from their homes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from littoral.cache import cache_folder
from littoral.errors import InputError
from littoral.images import builtin
from littoral.images.download import fetch, mismatch
from littoral.images.published import PUBLISHED, DataFile, NamedSet
from littoral.images.store import ImageStore

NAMES = ("mnist", *PUBLISHED)
"""What `load_named` knows."""

VARIABLE = "LITTORAL_DATA"
"""The environment variable that names a folder of original files."""


def load_named(
    name: str,
    data_dir: Path | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> ImageStore:
    """The data set called `name`, with its published split, training images first.

    Each file is looked for in `data_dir`, in the folder that LITTORAL_DATA names (in both as `NAME/file` and `file`),
    in the download folder, and where a system's package puts it; what is found nowhere is downloaded. Files are taken
    only with the published checksum. `on_progress(done, total)` is told the bytes of each file that is downloaded;
    total is 0 where the server does not say.

    Raises InputError for another name, a folder that is none, a file that is not the published one where no other
    place has it, and a download that fails: the message says which files to put where.
    """
    if name not in NAMES:
        raise InputError(f"unknown data {name!r}: expected one of {', '.join(NAMES)}")
    if name == "mnist":
        return builtin.load_mnist()
    wanted = PUBLISHED[name]
    parts = wanted.read(_files(wanted, _places(wanted, data_dir), on_progress))
    return ImageStore(
        images=np.concatenate([images for images, _ in parts.values()]),
        labels=np.concatenate([labels for _, labels in parts.values()]),
        class_names=wanted.class_names,
        split=np.repeat(np.array(list(parts)), [len(labels) for _, labels in parts.values()]),
        source=name,
    )


def download_folder(name: str) -> Path:
    """Where the files of a set are kept once downloaded: littoral/data/NAME in $XDG_CACHE_HOME or ~/.cache."""
    return cache_folder("XDG_CACHE_HOME") / "data" / name


def _places(wanted: NamedSet, data_dir: Path | None) -> list[Path]:
    """The folders that may hold the files, the user's own first."""
    variable = os.environ.get(VARIABLE)
    places = []
    for called, folder in (("--data-dir", data_dir), (VARIABLE, Path(variable) if variable else None)):
        if folder is not None:
            if not folder.is_dir():
                raise InputError(f"no such folder: {folder}, which {called} names; create it or name another")
            places += [folder / wanted.name, folder]
    places.append(download_folder(wanted.name))
    return places if wanted.folder is None else [*places, wanted.folder]


def _files(wanted: NamedSet, places: list[Path], on_progress: Callable[[int, int], None]) -> dict[str, Path]:
    """The files to read, by their names, each with its checksum; what no place has is downloaded."""
    unpacked = wanted.unpacked
    whole = unpacked and any(all((place / file.name).is_file() for file in unpacked) for place in places)
    files, missing = {}, []
    for file in unpacked if whole else wanted.files:
        found = _find(wanted, file, places)
        if found is None:
            missing.append(file)
        else:
            files[file.name] = found
    for number, file in enumerate(missing):
        files[file.name] = _download(wanted, file, missing[number:], on_progress)
    return files


def _find(wanted: NamedSet, file: DataFile, places: list[Path]) -> Path | None:
    """Where a file lies with its checksum, None where there is none of its name. Raises InputError for others alone."""
    others = []
    for path in [place / file.name for place in places if (place / file.name).is_file()]:
        try:
            found = mismatch(path, file.checksums)
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror}") from error
        if found is None:
            return path
        others.append((path, found))
    if not others:
        return None
    # kmnist and fashion-mnist have files of the same names, so a folder that holds one of them is no place for both
    path, found = others[0]
    folder = next(place for place in places if path == place / file.name)
    own = folder if folder.name == wanted.name else folder / wanted.name
    raise InputError(
        f"{path} is not the published one of {wanted.name}: expected {' or '.join(file.checksums)}, found {found}; "
        f"put the original into {own}, or take this one away"
    )


def _download(
    wanted: NamedSet, file: DataFile, missing: list[DataFile], on_progress: Callable[[int, int], None]
) -> Path:
    """Fetch a file into the download folder. The error says where to put all that are `missing` in place of it."""
    target = download_folder(wanted.name) / file.name
    try:
        fetch(file.urls, target, file.checksums, on_progress)
    except InputError as error:
        raise InputError(
            f"{wanted.name}: {error}; put {', '.join(other.name for other in missing)} into {target.parent}, "
            f"or name a folder that has them by {VARIABLE} or --data-dir"
        ) from error
    return target
