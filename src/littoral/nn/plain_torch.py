"""What a caller has set in torch for work of their own, put aside while littoral computes, and put back.

Leaves to others: the random generators, and the number of threads, which a caller means.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch


@contextmanager
def plain_torch() -> Iterator[None]:
    """Inside: new tensors are float32, gradients are kept, and no type is chosen by torch (autocast)."""
    before = torch.get_default_dtype()
    if before != torch.float32:
        torch.set_default_dtype(torch.float32)
    try:
        with ExitStack() as settings:
            settings.enter_context(torch.inference_mode(False))
            settings.enter_context(torch.enable_grad())
            for device in ("cpu", *(("cuda",) if torch.cuda.is_available() else ())):
                settings.enter_context(torch.autocast(device, enabled=False))
            yield
    finally:
        if before != torch.float32:
            torch.set_default_dtype(before)
