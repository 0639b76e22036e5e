"""Hold the log-probabilities that one form of a student gives replies against those of the trained model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fireact.errors import DataError


@dataclass(frozen=True)
class Probe:
    """A prompt and the reply after it; for each token of that, a model's likeliest one and the log-probability."""

    example: str
    prompt: Sequence[int]
    reply: Sequence[int]
    greedy: Sequence[int]
    logprobs: Sequence[float]


@dataclass(frozen=True)
class Parity:
    """How far one form of the student agrees with the trained model."""

    tokens: int
    same_greedy: float
    """The share of tokens in whose place both would have written the same."""
    largest_difference: float
    """Of the log-probabilities of a token, in nats."""
    mean_difference: float


def compare(reference: Sequence[Probe], other: Sequence[Probe]) -> Parity:
    """Compare token by token."""
    pairs = [pair for mine, its in zip(reference, other, strict=True)
             for pair in zip(mine.greedy, its.greedy, mine.logprobs, its.logprobs, strict=True)]
    differences = [abs(mine - its) for _, _, mine, its in pairs]
    return Parity(len(pairs), sum(mine == its for mine, its, _, _ in pairs) / len(pairs), max(differences),
                  sum(differences) / len(differences))


def refuse_prompts(same: float | None) -> None:
    """Raise DataError unless the share of prompts that are played with the ids of the training is 1, or not known."""
    if same is not None and same < 1:
        raise DataError(f"parity: only {same:.0%} of the fixed prompts have the ids that were trained on when they are "
                        "rendered for playing; play with the tokenizer and the model.template of the training, or set "
                        "evaluate.parity.check=false")


def refuse_forms(forms: Mapping[str, Mapping[str, Any]], agreement: float, difference: float,
                 mend: str = "check the base model, its precision (model.dtype) and the engine") -> None:
    """Raise DataError where a form of the student, by its name, is not the model that was trained.

    `mend` says what to do then. Each form is a `Parity` as a dictionary, as in parity.json.
    """
    for form, parity in forms.items():
        if parity["same_greedy"] < agreement or parity["largest_difference"] > difference:
            raise DataError(
                f"parity: the {form} is not the model that was trained: it would write the same token in "
                f"{parity['same_greedy']:.1%} of {parity['tokens']} places (at least {agreement:.0%} wanted), and "
                f"log-probabilities differ by up to {parity['largest_difference']:.3g} (at most {difference:g}); "
                f"{mend}, or allow more by evaluate.parity.agreement and evaluate.parity.difference")
