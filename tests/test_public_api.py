"""The names that users import: exactly these, each there, none of them loading torch before it is used."""

from __future__ import annotations

import subprocess
import sys
from importlib.resources import files

import littoral as lt

NAMES = [
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


def test_the_exported_names_are_these_and_are_there() -> None:
    assert lt.__all__ == NAMES
    assert dir(lt) == NAMES
    assert all(getattr(lt, name) is not None for name in NAMES)


def test_another_name_is_an_attribute_error() -> None:
    assert not hasattr(lt, "fuse")


def test_importing_littoral_loads_nothing_heavy() -> None:
    heavy = {"torch", "numpy", "sklearn", "scipy", "pydantic", "matplotlib"}
    code = f"import sys, littoral; assert not {heavy} & set(sys.modules), sorted({heavy} & set(sys.modules))"
    subprocess.check_call([sys.executable, "-c", code])


def test_every_error_is_of_the_base_and_has_an_exit_code() -> None:
    for name in NAMES:
        value = getattr(lt, name)
        if isinstance(value, type) and issubclass(value, Exception):
            assert issubclass(value, lt.LittoralError)
            assert value.exit_code in (1, 2)


def test_the_package_is_marked_as_typed() -> None:
    assert files("littoral").joinpath("py.typed").is_file()
