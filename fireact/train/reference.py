"""What the student thought while it was still in training: what every later form of it is held against.

It lies beside the weights as `reference.json`, see fireact/parity.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from fireact.parity import REFERENCE
from fireact.train.pack import packed, padded
from fireact.types import Example

if TYPE_CHECKING:
    from fireact.train.loop import Training

PROMPTS = 8
TOKENS = 48
"""The longest part of a turn that is looked at."""
_MODEL = set("tafe")
"""The roles of what the model itself writes in a turn."""


@torch.no_grad()
def reference(training: Training) -> list[dict[str, Any]]:
    """Hold the trained model against fixed turns of held-out trajectories, in the very forward pass of training.

    Each is a `prompt`, the `reply` that follows it there, the token that the model would have written in the place of
    each of its tokens (`greedy`), and their log-probabilities. All ranks must call this together.
    """
    examples = [unit.examples[0] for unit in (training.validation or training.examples)[:PROMPTS]]
    training.bare.eval()
    found = [_judged(training, example, *_turn(example, number)) for number, example in enumerate(examples)]
    training.bare.train()
    return found


def save(folder: Path, found: Sequence[dict[str, Any]]) -> None:
    """Write it beside the weights in `folder`. Raises OSError."""
    (folder / REFERENCE).write_text(json.dumps(found), encoding="utf-8")


def _turn(example: Example, number: int) -> tuple[int, int]:
    """Where one of the model's turns begins and ends; without roles, where what is trained on does."""
    mine = [role in _MODEL for role in example.roles] or [weight > 0 for weight in example.mask]
    starts = [at for at in range(1, len(mine)) if mine[at] and not mine[at - 1]] or [1]
    start = starts[number % len(starts)]
    end = next((at for at in range(start, len(mine)) if not mine[at]), len(mine))
    return start, min(max(end, start + 1), start + TOKENS)


def _judged(training: Training, example: Example, start: int, end: int) -> dict[str, Any]:
    part = Example("", example.ids[:end], (0,) * end)
    batch = (packed if training.packs else padded)([part], training.accelerator.device)
    logits = training.model(**batch.inputs, use_cache=False).logits[0, start - 1: end - 1].float()
    reply = list(example.ids[start:end])
    wanted = torch.tensor(reply, device=logits.device)[:, None]
    return {"example": example.id, "prompt": list(example.ids[:start]), "reply": reply,
            "greedy": logits.argmax(-1).tolist(), "logprobs": logits.log_softmax(-1).gather(1, wanted)[:, 0].tolist()}
