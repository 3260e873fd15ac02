"""What a branch that learns nothing makes of images: computed once, batch by batch, and kept in the cache.

An entry is found again by the pixels of the images, the branch's description, its weights and the code that computes
it, ONNX Runtime among it, so what is found is what would be computed. Leaves to others: what is done with features
(`probe.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import nn

import littoral
from littoral.cache import FEATURES, Entry
from littoral.errors import InputError
from littoral.images.store import pixel_hashes
from littoral.nn.branch import BranchConfig
from littoral.nn.inference import batch_size
from littoral.nn.inputs import to_input
from littoral.nn.layers import flatten
from littoral.nn.onnx_session import in_sessions, runtime_for
from littoral.nn.own_code import code_of, state_hash
from littoral.rows import ImageRows, in_chunks
from littoral.specs import ImageSpec

HEADER = 128
"""Bytes before the numbers in a .npy file of two axes."""


def feature_groups(
    branches: Mapping[str, BranchConfig],
    images: UInt8[np.ndarray, "n height width channels"] | ImageRows,
    spec: ImageSpec,
    source: str,
    device: torch.device,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Float32[np.ndarray, "n _"]]:
    """Every tap of every branch as a group of its own, `BRANCH.TAP`: n × size, mapped from the cache and not writable.

    Maps are flattened with the channels varying fastest. `source`: what `littoral cache` calls the images.
    `on_progress` is told (images done, images in all), an image counting once for each branch. Raises InputError for a
    branch that learns, and where weights, or room on the disk, are missing.
    """
    groups: dict[str, Float32[np.ndarray, "n _"]] = {}
    for number, (name, branch) in enumerate(branches.items()):
        before, total = number * len(images), len(branches) * len(images)

        def told(done: int, before: int = before, total: int = total) -> None:
            on_progress(before + done, total)

        taps = branch_features(branch, images, spec, source, device, told)
        groups |= {f"{name}.{tap}": values for tap, values in taps.items()}
    return groups


def branch_features(
    branch: BranchConfig,
    images: UInt8[np.ndarray, "n height width channels"] | ImageRows,
    spec: ImageSpec,
    source: str,
    device: torch.device,
    on_images: Callable[[int], None] = lambda done: None,
) -> dict[str, Float32[np.ndarray, "n _"]]:
    """The taps of one branch by name; see `feature_groups`."""
    if not len(images):
        raise InputError(f"{source} has no images to compute features of")
    module = branch.build(spec.shape).eval()
    if any(parameter.requires_grad for parameter in module.parameters()):
        raise InputError(f"features of a {branch.type} branch that learns are not kept: take a fixed or a frozen one")
    key = _key(branch, module, images, spec, device)
    entry = FEATURES.find(key)
    if entry is not None:
        with suppress(FileNotFoundError):  # another run has cleared the cache meanwhile
            return _opened(entry)
    sizes = {tap.name: tap.size for tap in branch.features(spec.shape)}
    files = {f"{number}.npy": HEADER + 4 * len(images) * size for number, size in enumerate(sizes.values())}
    with FEATURES.writing(files, source) as folder:
        shapes = [(len(images), size) for size in sizes.values()]
        arrays = {tap: _fresh(folder / file, shape) for tap, file, shape in zip(sizes, files, shapes, strict=True)}
        module.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        with in_sessions(module), torch.inference_mode():
            for start, rows in in_chunks(images, batch_size(spec)):
                taps = module(to_input(torch.tensor(rows, device=device), spec))
                for tap, array in arrays.items():
                    array[start : start + len(rows)] = flatten(taps[tap]).cpu().numpy()
                on_images(start + len(rows))
        for array in arrays.values():
            array.flush()
        notes = {
            "source": source,
            "shape": [len(images), sum(sizes.values())],
            "taps": list(sizes),
            "onnxruntime": runtime_for([branch], device),
        }
        return _opened(FEATURES.keep(folder, key, notes))


def _key(
    branch: BranchConfig,
    module: nn.Module,
    images: UInt8[np.ndarray, "n height width channels"] | ImageRows,
    spec: ImageSpec,
    device: torch.device,
) -> str:
    runtime = runtime_for([branch], device)
    own = code_of(module)  # a class of the user's own may have changed under its name
    facts = (branch, spec.shape, spec.mean, spec.std, device.type, runtime, len(images), _code(), own)
    digest = hashlib.blake2b(repr((*facts, state_hash(module))).encode(), digest_size=16)
    digest.update(pixel_hashes(images).tobytes())
    return digest.hexdigest()


@cache
def _code() -> str:
    """Of all that computes features: two versions of a checkout are not told apart by the package's number."""
    digest = hashlib.sha256(torch.__version__.encode())
    for file in sorted((Path(littoral.__file__).parent / "nn").rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _fresh(path: Path, shape: tuple[int, int]) -> np.memmap[Any, np.dtype[np.float32]]:
    """A float32 .npy file of this shape in the room that is reserved for it, to be written through memory."""
    with open(path, "r+b") as handle:
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(handle, header)
        assert handle.tell() == HEADER
    return np.memmap(path, np.dtype("<f4"), "r+", offset=HEADER, shape=shape)


def _opened(entry: Entry) -> dict[str, Float32[np.ndarray, "n _"]]:
    return {
        tap: np.load(entry.folder / f"{number}.npy", mmap_mode="r", allow_pickle=False)
        for number, tap in enumerate(entry.notes["taps"])
    }
