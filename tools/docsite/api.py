"""The pages of the Python API, from docstrings: the names that littoral exports, and each room with its modules."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import griffe

import littoral

PACKAGE = Path(littoral.__file__).parent

OWN = ("cli",)
"""Rooms that are not called from Python; the commands have a page of their own."""


def rooms() -> list[str]:
    """The packages that littoral is made of, and `files`, its modules outside of them."""
    return ["files", *sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py") if path.parent.name not in OWN)]


def exported() -> str:
    """The page of what `import littoral` gives."""
    values = {name: getattr(littoral, name) for name in littoral.__all__}
    named = [value for value in values.values() if inspect.isclass(value) or inspect.isfunction(value)]
    faults = [value for value in named if inspect.isclass(value) and issubclass(value, littoral.LittoralError)]
    parts = ["# What `import littoral` gives", *(_entry(value) for value in named if value not in faults), "## Errors"]
    return "\n\n".join(parts + [_entry(value) for value in faults]) + "\n"


def room(name: str) -> str:
    """The page of one room: each module with what it says of itself and all that is public in it."""
    folder = PACKAGE if name == "files" else PACKAGE / name
    found = sorted(folder.glob("*.py") if name == "files" else folder.rglob("*.py"))
    names = [_module(path) for path in found if not path.name.startswith("__")]
    title = "littoral" if name == "files" else f"littoral.{name}"
    return "\n\n".join([f"# {title}", *(f"::: {module}" for module in names)]) + "\n"


class Sections(griffe.Extension):
    """Makes lists of the parameters and attributes that a class lists in scikit-learn's way."""

    def on_class(self, *, cls: griffe.Class, **_: Any) -> None:
        """Rewrite the docstring where it has such sections."""
        if cls.docstring is not None:
            text = re.sub(r"^(\w+)\n-{4,}\n", r"**\1**\n\n", cls.docstring.value, flags=re.MULTILINE)
            cls.docstring.value = re.sub(r"^(\w[\w, ]*) : ", r"- `\1`: ", text, flags=re.MULTILINE)


def _entry(value: Any) -> str:
    return f"::: {value.__module__}.{value.__qualname__}"


def _module(path: Path) -> str:
    return ".".join(("littoral", *path.relative_to(PACKAGE).with_suffix("").parts))
