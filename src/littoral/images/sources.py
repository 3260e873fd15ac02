"""Where images lie: paths named by a user -> image files, in a settled order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from littoral.errors import InputError

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp")


def image_files(paths: Sequence[Path]) -> list[Path]:
    """Each file as named, and for a folder the image files in it and below it, sorted, hidden ones left out.

    Raises InputError for a path that does not exist and for a folder without images.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(
                file
                for file in path.rglob("*")
                if file.suffix.lower() in SUFFIXES
                and file.is_file()
                and not any(part.startswith(".") for part in file.relative_to(path).parts)
            )
            if not inside:
                raise InputError(f"no images in the folder {path}: expected files ending in {', '.join(SUFFIXES)}")
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise InputError(f"{'not a file' if path.exists() else 'no such file'} or folder: {path}")
    return found
