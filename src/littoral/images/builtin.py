"""MNIST, which lies inside the package, so that the first run needs no network.

60,000 training and 10,000 test images of handwritten digits, 28×28 grey. Yann LeCun, Corinna Cortes, Christopher
J. C. Burges; CC BY-SA 3.0 (see docs/data.md). The four files are the original IDX files, gzipped.
"""

from __future__ import annotations

import hashlib
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from littoral.errors import InputError
from littoral.images.idx import read_idx
from littoral.images.store import ImageStore

_MNIST_SHA256 = {
    "train-images-idx3-ubyte.gz": "0b367032e93c5d0cea0925647cfdb18614af8ee15f83e6f2fc2ad904a6835971",
    "train-labels-idx1-ubyte.gz": "1787548bbe0bff1ec2ecdc0ef292b02df999e2d1a6002d27500982c652b17203",
    "t10k-images-idx3-ubyte.gz": "1a1a05eab793c14bb050b398624a11b0ffd1a2953baed553b1b9bd079e2a20be",
    "t10k-labels-idx1-ubyte.gz": "b91679a0acfe4ba0e50a2437a903084cba1f5f92592b016a25a7dfd00455798b",
}


def load_mnist() -> ImageStore:
    """MNIST with its published split, training images first. Raises InputError when a packaged file was changed."""
    train_x, train_y, test_x, test_y = (_read_packaged_idx(name) for name in _MNIST_SHA256)
    return ImageStore(
        images=np.concatenate([train_x, test_x])[..., None],
        labels=np.concatenate([train_y, test_y]).astype(np.int64),
        class_names=tuple("0123456789"),
        split=np.repeat(np.array(["train", "test"]), [len(train_y), len(test_y)]),
        source="mnist",
    )


def _read_packaged_idx(name: str) -> NDArray[np.uint8]:
    packed = files("littoral.images").joinpath("data", "mnist", name).read_bytes()
    if hashlib.sha256(packed).hexdigest() != _MNIST_SHA256[name]:
        raise InputError(f"the packaged MNIST file {name} does not have its SHA-256; install littoral again")
    return read_idx(packed, name, axes=3 if "idx3" in name else 1)
