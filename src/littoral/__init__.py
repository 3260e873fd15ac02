"""littoral: image classification by fusing shallow and deep features, for little data and little compute.

Names are loaded when they are first used, so that `import littoral` and `littoral --help` do not wait for torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from littoral.errors import ImageError, InputError, LittoralError, ModelFileError, ShapeError, TrainingError
from littoral.version import __version__

if TYPE_CHECKING:
    from littoral.estimator import FusionClassifier, load
    from littoral.fusion_features import FusionFeatures
    from littoral.images.builtin import load_mnist
    from littoral.images.load import load_images
    from littoral.images.store import ImageStore
    from littoral.nn.networks import register_network
    from littoral.nn.registry import register_branch, register_fusion
    from littoral.studies.compare import compare
    from littoral.studies.curve import curve
    from littoral.training.loop import Observer

__all__ = [
    "FusionClassifier",
    "FusionFeatures",
    "ImageError",
    "ImageStore",
    "InputError",
    "LittoralError",
    "ModelFileError",
    "Observer",
    "ShapeError",
    "TrainingError",
    "__version__",
    "compare",
    "curve",
    "load",
    "load_images",
    "load_mnist",
    "register_branch",
    "register_fusion",
    "register_network",
]

_LAZY = {
    "FusionClassifier": "littoral.estimator",
    "FusionFeatures": "littoral.fusion_features",
    "ImageStore": "littoral.images.store",
    "Observer": "littoral.training.loop",
    "load": "littoral.estimator",
    "load_images": "littoral.images.load",
    "load_mnist": "littoral.images.builtin",
    "compare": "littoral.studies.compare",
    "curve": "littoral.studies.curve",
    "register_branch": "littoral.nn.registry",
    "register_fusion": "littoral.nn.registry",
    "register_network": "littoral.nn.networks",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'littoral' has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
