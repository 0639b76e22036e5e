"""The log-probabilities of a known reply in a plain forward pass of transformers: the engine's measure."""

from collections.abc import Sequence
from typing import Any

import torch

from fireact.model.local.jobs import Judged


@torch.no_grad()
def judge(model: Any, prompt: Sequence[int], reply: Sequence[int]) -> Judged:
    """Say what `model` would have written in the place of each token of the reply, and their log-probabilities."""
    ids = torch.tensor([[*prompt, *reply[:-1]]], device=model.device)
    logits = model(input_ids=ids, use_cache=False).logits[0, len(prompt) - 1:].float()
    wanted = torch.tensor(list(reply), device=logits.device)[:, None]
    return Judged(logits.argmax(-1).tolist(), logits.log_softmax(-1).gather(1, wanted)[:, 0].tolist())
