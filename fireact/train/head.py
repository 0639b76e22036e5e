"""The last layer and the loss: of all that is computed in a step, logits take the most room for a token.

They are computed where a token is trained on, only. Where the head is a frozen linear layer, as in LoRA, they are
computed for a few hundred tokens at a time and dropped again, as Liger's fused linear cross-entropy does on a GPU.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from fireact.train.linear import linear
from fireact.train.pack import Batch

_AT_ONCE = 2 ** 23
"""Logits that are held at a time."""


def is_frozen_linear(model: Any) -> bool:
    """Whether the logits of `model` are its last hidden states times a matrix that does not learn: it tries two tokens.

    Some models scale or cap their logits, each by options of its own.
    """
    head = model.get_output_embeddings()
    if type(head) is not nn.Linear or any(weight.requires_grad for weight in head.parameters()):
        return False
    states: list[Tensor] = []
    look = head.register_forward_pre_hook(lambda _, inputs: states.append(inputs[0]))
    try:
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([[0, 1]], device=model.device), use_cache=False).logits
            return torch.equal(logits, head(states[0]))
    finally:
        look.remove()


def token_losses(model: Any, head: nn.Module, batch: Batch, frozen_linear: bool) -> tuple[Tensor, Tensor]:
    """Return the loss of each trained token, and whether it was the likeliest of all: (tokens,), by a forward pass."""
    states: list[Tensor] = []

    def take(_: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
        states.append(inputs[0].flatten(0, 1)[batch.places])
        return (states[0][:0] if frozen_linear else states[0],)

    hook = head.register_forward_pre_hook(take)
    try:
        logits = model(**batch.inputs, use_cache=False).logits
    finally:
        hook.remove()
    if frozen_linear:
        losses, right = _Chunked.apply(states[0], head.weight, head.bias, batch.targets)
        return losses, right
    logits = logits.float()
    losses = functional.cross_entropy(logits, batch.targets, reduction="none")
    return losses, logits.detach().argmax(-1) == batch.targets


class _Chunked(torch.autograd.Function):
    """The losses of tokens, from states (tokens, hidden), weight (vocabulary, hidden) and bias.

    The gradient of a token's loss depends on no other token: it is taken at once, while its logits are at hand, and
    multiplied later with what the loss counts for. With e = exp(logits - max), summing up to z, and a 1 at the target,
    it is (e - z 1) W / z.
    """

    @staticmethod
    def forward(ctx: Any, states: Tensor, weight: Tensor, bias: Tensor | None,
                targets: Tensor) -> tuple[Tensor, Tensor]:
        rows = states.to(weight.dtype)
        gradient = torch.empty_like(rows) if ctx.needs_input_grad[0] else None
        losses, right = [], []
        size = max(1, _AT_ONCE // len(weight))
        for start in range(0, max(len(rows), 1), size):
            part, wanted = slice(start, start + size), targets[start: start + size]
            logits = linear(rows[part], weight, bias).float()
            most, best = logits.max(-1, keepdim=True)
            own = logits.gather(1, wanted[:, None])
            total = logits.sub_(most).exp_().sum(-1, keepdim=True)
            losses.append((total.log() + most - own)[:, 0])
            right.append(best[:, 0] == wanted)
            if gradient is not None:
                # Before the product: after it, a loss near 0 would leave a difference of rounding errors.
                logits.scatter_add_(1, wanted[:, None], -total)
                gradient[part] = (logits.to(weight.dtype) @ weight).div_(total)
            del logits  # Before the next are made.
        found = torch.cat(right)
        ctx.save_for_backward(gradient)
        ctx.kind = states.dtype
        ctx.mark_non_differentiable(found)
        return torch.cat(losses), found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, counts: Tensor, _: Any) -> tuple[Tensor, None, None, None]:
        gradient, = ctx.saved_tensors
        return (gradient * counts[:, None]).to(ctx.kind), None, None, None
