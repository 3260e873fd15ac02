"""In which numbers a device trains: what a recipe's `precision` comes to there, settled before the first step.

bfloat16 has the range of float32 and 8 bits of precision. Where a processor has instructions for it, convolutions are
two to four times as fast; elsewhere they are imitated, and slower than in float32.
"""

from __future__ import annotations

from typing import Literal

import torch

from littoral.training.recipe import Precision


def precision_on(device: torch.device, wanted: Precision) -> Literal["float32", "bfloat16"]:
    """The numbers that layers work in on this device."""
    if device.type == "cuda":
        return "float32" if wanted == "float32" else "bfloat16"
    return "bfloat16" if wanted == "auto" and device.type == "cpu" and cpu_has_bfloat16() else "float32"


def cpu_has_bfloat16() -> bool:
    """Whether this processor is known to multiply bfloat16 numbers by instructions of its own (x86 alone is asked).

    The question of torch's that every version since 2.6 answers; one for all abilities came later.
    """
    return bool(torch.cpu._is_avx512_bf16_supported())
