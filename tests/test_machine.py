"""What of the machine a process may use: cores by affinity and quota, memory, and systems that tell neither."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from littoral import machine
from littoral.cli.workers import Asked
from littoral.machine import UNKNOWN_MEMORY, cores, memory_bytes


@pytest.fixture
def limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which `cpu.max` and `memory.max` are looked for, without either; and eight cores."""
    monkeypatch.setattr(machine, "CPU_LIMIT", tmp_path / "cpu.max")
    monkeypatch.setattr(machine, "MEMORY_LIMIT", tmp_path / "memory.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    return tmp_path


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("max 100000\n", 8),
        ("200000 100000\n", 2),
        ("150000 100000\n", 2),
        ("10000 100000\n", 1),
        ("0 100000\n", 1),
        ("9900000 100000\n", 8),
        ("", 8),
        ("100000 0\n", 8),
        ("much", 8),
    ],
)
def test_a_quota_bounds_the_cores(limits: Path, told: str, expected: int) -> None:
    assert cores() == 8
    (limits / "cpu.max").write_text(told)
    assert cores() == expected


def test_commands_take_the_cores_that_they_may(limits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {1, 3, 5, 7, 9, 11})
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert cores() == 6
    assert Asked("local", 2, None).threads(None) == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    assert cores() == 64


def test_memory_is_bounded_too_and_guessed_where_nothing_tells(limits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = memory_bytes()
    (limits / "memory.max").write_text("max\n")
    assert memory_bytes() == there
    (limits / "memory.max").write_text("1000000\n")
    assert memory_bytes() == 1_000_000
    (limits / "memory.max").unlink()
    monkeypatch.delattr(os, "sysconf")
    assert memory_bytes() == UNKNOWN_MEMORY
