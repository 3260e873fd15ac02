"""Small settings that commands share."""

from __future__ import annotations

from littoral.errors import InputError


def set_threads(threads: int | None) -> None:
    """Compute with this many CPU threads; None leaves torch's choice, one a core."""
    if threads is None:
        return
    if threads < 1:
        raise InputError(f"--threads must be at least 1, got {threads}")
    import torch

    torch.set_num_threads(threads)
