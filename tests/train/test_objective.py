"""The loss on pairs, held against a plain implementation, and where it begins."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from fireact.train import Dpo, worker
from fireact.train.objective import DpoLoss, Predicted, log_probs
from fireact.types import Example, Pair
from tests.train.conftest import MakeJob, make_pairs, read_metrics


def plain_log_prob(model: torch.nn.Module, example: Example) -> Tensor:
    """The weighted sum of the log-probabilities of one sequence's trained tokens, from full logits."""
    ids = torch.tensor(example.ids)
    logits = model(input_ids=ids[None]).logits[0, :-1]
    each = logits.log_softmax(-1)[torch.arange(len(ids) - 1), ids[1:]]
    return (each * torch.tensor(example.mask[1:])).sum()


def plain_loss(policy: torch.nn.Module, reference: torch.nn.Module, pairs: Sequence[Pair], options: Dpo) -> Tensor:
    """DPO as it is written down, one pair at a time, with a second model for the reference."""
    losses = []
    for pair in pairs:
        ratios = []
        for side in (pair.chosen, pair.rejected):
            with torch.no_grad():
                expected = plain_log_prob(reference, side)
            ratio = plain_log_prob(policy, side) - expected
            ratios.append(ratio / sum(side.mask[1:]) if options.length_normalised else ratio)
        loss = torch.log(1 + torch.exp(-options.beta * (ratios[0] - ratios[1])))
        losses.append(loss - options.sft_weight * plain_log_prob(policy, pair.chosen) / sum(pair.chosen.mask[1:]))
    return torch.stack(losses).mean()


def weighted(pairs: Sequence[Pair]) -> list[Pair]:
    """Some with weights other than 1."""
    return [replace(pair, chosen=replace(pair.chosen, mask=tuple(0.5 * part for part in pair.chosen.mask)))
            if number % 3 == 0 else pair for number, pair in enumerate(pairs)]


@pytest.mark.parametrize("options", [{}, {"beta": 0.7}, {"length_normalised": True, "beta": 2.0}, {"sft_weight": 0.5},
                                     {"sft_weight": 0.2, "length_normalised": True}], ids=str)
@pytest.mark.parametrize("packing", [True, False])
def test_loss_and_gradient_are_those_of_a_plain_implementation(make_job: MakeJob, base: Path, options: dict[str, Any],
                                                               packing: bool) -> None:
    pairs = weighted(make_pairs(9))
    job = worker.read_job(make_job(examples=pairs, validation=False, method="full", dpo=options, packing=packing,
                                   micro_batch_tokens=70, batch_size=9))
    training = worker.start(job, pairs, [])
    torch.manual_seed(1)
    for weight in training.weights.values():
        weight.data += 0.05 * torch.randn_like(weight)
    reference, policy = (AutoModelForCausalLM.from_pretrained(base) for _ in range(2))
    policy.load_state_dict(training.bare.state_dict())
    loss, measures = training._backward(list(range(9)))
    expected = plain_loss(policy, reference, pairs, Dpo(**options))
    expected.backward()
    assert loss == pytest.approx(expected.item(), abs=1e-5)
    others = dict(policy.named_parameters())
    for name, weight in training.weights.items():
        torch.testing.assert_close(weight.grad, others[name].grad, rtol=1e-3, atol=2e-6)
    with torch.no_grad():
        margins = [(plain_log_prob(policy, pair.chosen) - plain_log_prob(reference, pair.chosen)
                    - plain_log_prob(policy, pair.rejected) + plain_log_prob(reference, pair.rejected)).item()
                   for pair in pairs]
    if not options.get("length_normalised"):
        mean = sum(margins) / 9 * options.get("beta", 0.1)
        assert measures["reward_margin"] == pytest.approx(mean, abs=1e-4)
        assert measures["reward_accuracy"] == pytest.approx(sum(margin > 0 for margin in margins) / 9)
    assert measures["reward_chosen"] - measures["reward_rejected"] == pytest.approx(measures["reward_margin"], abs=1e-5)


@pytest.mark.parametrize("options", [{"method": "lora"}, {"method": "full", "learning_rate": 1e-3},
                                     {"dpo": {"beta": 3.0}}, {"dpo": {"length_normalised": True}}], ids=str)
def test_it_begins_with_log_2_and_the_margin_grows(make_job: MakeJob, options: dict[str, Any]) -> None:
    job = worker.read_job(make_job(**{"dpo": {"beta": 0.5}, "epochs": 6, **options}))
    worker.run(job)
    metrics = read_metrics(job.out)
    steps, held_out = ([line for line in metrics if name in line] for name in ("loss", "validation_loss"))
    assert steps[0]["loss"] == pytest.approx(math.log(2), abs=1e-5)
    assert steps[0]["reward_margin"] == pytest.approx(0, abs=1e-4)
    assert steps[-1]["reward_margin"] > steps[2]["reward_margin"] > 0
    assert steps[-1]["loss"] < steps[0]["loss"]
    assert held_out[-1]["validation_reward_margin"] > held_out[0]["validation_reward_margin"]
    assert held_out[-1]["validation_reward_accuracy"] > 0.8
    done = json.loads((job.out / "done.json").read_text(encoding="utf-8"))
    assert done["validation_reward_margin"] == pytest.approx(held_out[-1]["validation_reward_margin"], rel=1e-5)
    assert done["validation_loss"] == pytest.approx(held_out[-1]["validation_loss"], rel=1e-5)
    assert done["trained_tokens"] == steps[-1]["trained_tokens"]


def test_a_pass_without_pairs_has_a_gradient_of_nothing() -> None:
    """A rank with nothing to do takes part in the sum of the gradients all the same."""
    empty = torch.zeros(0, requires_grad=True)
    nothing = Predicted(empty, torch.zeros(0), torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.bool))
    assert log_probs(nothing, []).shape == (0, 2)
    loss, measures = DpoLoss(Dpo(sft_weight=1.0))(nothing, [])
    loss.backward()
    assert loss.item() == 0
    assert measures.tolist() == [0, 0, 0, 0]


def test_tokens_are_summed_for_their_own_example() -> None:
    predicted = Predicted(torch.tensor([1.0, 2.0, 4.0, 8.0]), torch.tensor([1.0, 0.5, 1.0, 1.0]),
                          torch.tensor([0, 0, 1, 3]), torch.ones(4, dtype=torch.bool))
    assert log_probs(predicted, make_pairs(2)).tolist() == [[-2, -4], [0, -8]]
