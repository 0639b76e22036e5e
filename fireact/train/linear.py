"""The product of rows and a weight, as fast as this machine has it."""

from functools import cache
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional


def linear(rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return rows weightᵀ + bias. It is not differentiated.

    Torch computes it by MKL, which is made for Intel. On AMD's CPUs oneDNN is a tenth faster, and twice as fast at few
    rows and a large vocabulary; on Intel's it is a tenth slower.
    """
    if rows.device.type == "cpu" and rows.dtype == torch.float32 and _is_amd() and torch.backends.mkldnn.is_available():
        return torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "none", [], "")
    return functional.linear(rows, weight, bias)


@cache
def _is_amd() -> bool:
    """Whether this is a Linux machine with a CPU of AMD."""
    told = Path("/proc/cpuinfo")
    return told.is_file() and "AuthenticAMD" in told.read_text(encoding="utf-8", errors="replace")
