"""The product of rows and a weight, as fast as this machine has it."""

import torch
from torch import Tensor
from torch.nn import functional


def linear(rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """rows weightᵀ + bias, not differentiated; on a CPU by oneDNN, as torch.compile would.

    On AMD's CPUs it is a tenth faster than MKL, and twice as fast at few rows and a large vocabulary.
    """
    if rows.device.type == "cpu" and rows.dtype == torch.float32 and torch.backends.mkldnn.is_available():
        return torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "none", [], "")
    return functional.linear(rows, weight, bias)
