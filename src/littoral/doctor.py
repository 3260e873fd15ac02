"""What littoral finds on this machine: versions, threads, speed, extras, the cache. Printing is left to the CLI."""

from __future__ import annotations

import platform
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from statistics import median

import torch

from littoral.cache import ROOMS
from littoral.machine import cores

SHOWN = ("littoral", "torch", "numpy", "scikit-learn", "scipy", "pillow", "safetensors")
"""Packages whose versions are told; what else is missing shows in the extras."""

FOR_DEVELOPERS = ("dev", "docs")
"""Extras that nobody needs who only uses the package."""

SIDE, REPEATS = 2048, 5
"""The matrix product that speed is told by, and how often it is done; the first time is not counted."""


@dataclass(frozen=True)
class Extra:
    """`missing`: the packages of this extra that are not there; `install`: the command that brings them."""

    name: str
    missing: tuple[str, ...]
    install: str


@dataclass(frozen=True)
class Findings:
    """`matmul_gflops`: of a float32 product of 2048 × 2048 matrices on the CPU with `threads` threads, median of five.

    `gpu`: its name, None where torch finds none. `versions`: None for a package that is missing.
    """

    python: str
    system: str
    cores: int
    threads: int
    gpu: str | None
    matmul_gflops: float
    versions: Mapping[str, str | None]
    extras: tuple[Extra, ...]
    cache_folder: str
    cache_bytes: int


def examine() -> Findings:
    """Look at this machine. Takes about a second, most of it for the matrix product."""
    return Findings(
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        cores=cores(),
        threads=torch.get_num_threads(),
        gpu=torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        matmul_gflops=round(matmul_rate(), 1),
        versions={name: _version(name) for name in SHOWN},
        extras=extras(requires("littoral") or []),
        cache_folder=str(ROOMS[0].folder.parent),
        cache_bytes=sum(entry.bytes for room in ROOMS for entry in room.entries()),
    )


def matmul_rate() -> float:
    """GFLOP/s of a float32 matrix product of 2048³ multiply-accumulates, median of five."""
    one, other = torch.rand(SIDE, SIDE), torch.rand(SIDE, SIDE)
    seconds = []
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        one @ other
        seconds.append(time.perf_counter() - start)
    return 2 * SIDE**3 / median(seconds[1:]) / 1e9


def extras(requirements: list[str]) -> tuple[Extra, ...]:
    """The extras that a package's requirements name, such as `cleanlab>=2.7; extra == "audit"`, by name.

    An extra that takes in others of the same package is as complete as these are.
    """
    packages: dict[str, list[str]] = {}
    for requirement in requirements:
        found = re.fullmatch(r"""([\w.-]+)(?:\[([\w,\s-]+)\])?.*extra == ['"]([\w-]+)['"].*""", requirement)
        if found is not None:
            name, others, extra = found.groups()
            own = [f"[{other.strip()}]" for other in others.split(",")] if name == "littoral" and others else [name]
            packages.setdefault(extra, []).extend(own)

    def needed(extra: str) -> list[str]:
        return [
            package
            for name in packages.get(extra, [])
            for package in (needed(name[1:-1]) if name.startswith("[") else [name])
        ]

    return tuple(
        Extra(
            name,
            tuple(package for package in dict.fromkeys(needed(name)) if _version(package) is None),
            f"pip install 'littoral[{name}]'",
        )
        for name in sorted(packages)
        if name not in FOR_DEVELOPERS
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
