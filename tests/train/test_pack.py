"""Packs: what a forward pass takes, and that no example sees another."""

from collections.abc import Iterable
from pathlib import Path

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

from fireact.train import attention, pack
from fireact.types import Example

CPU = torch.device("cpu")
VOCABULARY = 96
BEGINNING = [(7 * n) % VOCABULARY for n in range(40)]
examples_of = st.lists(st.tuples(st.integers(0, 40), st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=40)),
                       min_size=1, max_size=6).map(lambda rows: [row(str(number), BEGINNING[:size] + ids)
                                                                 for number, (size, ids) in enumerate(rows)])
"""Some of these begin alike, some are the same."""


def row(name: str, ids: Iterable[int]) -> Example:
    """An example that is trained on as a whole."""
    return Example(name, tuple(ids), (1,) * len(tuple(ids)))


def small(kind: str = "llama") -> torch.nn.Module:
    """A model with random weights; mistral's sees eight tokens at a time."""
    torch.manual_seed(0)
    sizes = {"vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
             "num_attention_heads": 4, "num_key_value_heads": 2, "initializer_range": 0.3}
    return (LlamaForCausalLM(LlamaConfig(**sizes)) if kind == "llama" else
            MistralForCausalLM(MistralConfig(**sizes, sliding_window=8))).eval()


def predicted(model: torch.nn.Module, batch: pack.Batch) -> torch.Tensor:
    """The logits before each trained token."""
    return model(**batch.inputs, use_cache=False).logits.flatten(0, 1)[batch.places]


def alone(model: torch.nn.Module, examples: list[Example]) -> torch.Tensor:
    """The same of each example by itself; its last token predicts nothing."""
    return torch.cat([model(input_ids=torch.tensor([one.ids]), use_cache=False).logits[0, :-1] for one in examples])


@pytest.mark.parametrize("least", [1, pack.LEAST, None])
@pytest.mark.parametrize("kind", ["llama", "mistral"])
@settings(max_examples=25, deadline=None)
@given(examples=examples_of)
def test_no_example_is_attended_by_another(kind: str, least: int | None, examples: list[Example]) -> None:
    plain, model = small(kind), small(kind)
    assert attention.can_pack(model)
    attention.attend_in_packs(model)
    with torch.no_grad():
        together = predicted(model, pack.packed(examples, CPU, least))
        torch.testing.assert_close(together, alone(plain, examples), rtol=0, atol=1e-4)


@pytest.mark.parametrize("kind", ["llama", "mistral"])
@pytest.mark.parametrize("examples", [
    [row(str(size), range(size)) for size in (3, 17, 30)],
    [row("first", BEGINNING), row("longer", [*BEGINNING, 1, 2]), row("the same", BEGINNING),
     row("its half", [*BEGINNING[:20], 3]), row("of the longer", [*BEGINNING, 1, 2, 4]), row("another", range(50, 60))],
], ids=["apart", "shared"])
def test_gradients_of_a_pack_are_those_of_its_examples(kind: str, examples: list[Example]) -> None:
    plain, model = small(kind), small(kind)
    attention.attend_in_packs(model)
    predicted(model, pack.packed(examples, CPU, 2)).square().sum().backward()
    alone(plain, examples).square().sum().backward()
    for weight, other in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(weight.grad, other.grad, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("kind", ["Doge", "Nemotron"])
def test_a_model_with_attention_of_its_own_is_not_packed(kind: str) -> None:
    """Doge makes a mask in each layer; Nemotron does not pass on where examples begin."""
    torch.manual_seed(0)
    model = getattr(transformers, f"{kind}ForCausalLM")(getattr(transformers, f"{kind}Config")(
        vocab_size=VOCABULARY, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2)).eval()
    rows = pack.padded([Example("", tuple(range(1, 20)), (1,) * 19)], CPU).inputs
    with torch.no_grad():
        before = model(**rows, use_cache=False).logits
        assert not attention.attend_in_packs(model)
        assert torch.equal(model(**rows, use_cache=False).logits, before)


def test_targets_are_the_next_tokens_that_are_trained_on() -> None:
    examples = [Example("a", (5, 6, 7), (0, 1, 0)), Example("b", (1, 2, 3, 4), (1, 0, 0.5, 2))]
    batch = pack.packed(examples, CPU, least=None)
    assert batch.inputs["input_ids"].tolist() == [[5, 6, 7, 1, 2, 3, 4]]
    assert batch.inputs["position_ids"].tolist() == [[0, 1, 2, 0, 1, 2, 3]]
    assert batch.inputs["cu_seq_lens_q"].tolist() == [0, 3, 7]
    assert (batch.places.tolist(), batch.targets.tolist()) == ([0, 4, 5], [6, 3, 4])
    assert (batch.weights.tolist(), batch.owners.tolist()) == ([1, 0.5, 2], [0, 1, 1])
    assert batch.inputs["shared"] is None
    rows = pack.padded(examples, CPU)
    assert rows.inputs["input_ids"].tolist() == [[5, 6, 7, 0], [1, 2, 3, 4]]
    assert rows.inputs["attention_mask"].tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]
    assert (rows.places.tolist(), rows.targets.tolist()) == ([0, 5, 6], [6, 3, 4])
    assert (rows.weights.tolist(), rows.owners.tolist()) == ([1, 0.5, 2], [0, 1, 1])


def test_what_examples_begin_with_alike_is_there_once() -> None:
    examples = [row("a", (1, 2, 3)), row("b", (1, 2, 3, 4, 5)), row("c", (9, 9)), row("d", (1, 2, 3, 4)),
                row("e", (1, 2, 6))]
    batch = pack.packed(examples, CPU, least=2)  # In the order a, d, b, e, c.
    assert batch.inputs["input_ids"].tolist() == [[1, 2, 3, 4, 5, 6, 9, 9]]
    assert batch.inputs["position_ids"].tolist() == [[0, 1, 2, 3, 4, 2, 0, 1]]
    assert batch.inputs["cu_seq_lens_q"].tolist() == [0, 3, 7, 12, 15, 17]
    assert batch.inputs["shared"].places.tolist() == [0, 1, 2, 0, 1, 2, 3, 0, 1, 2, 3, 4, 0, 1, 5, 6, 7]
    assert batch.inputs["shared"].own.tolist() == [0, 1, 2, 6, 11, 14, 15, 16]
    assert batch.places.tolist() == [0, 1, 0, 1, 2, 3, 6, 0, 1, 2, 0, 1]
    assert batch.targets.tolist() == [2, 3, 2, 3, 4, 5, 9, 2, 3, 4, 2, 6]
    assert batch.owners.tolist() == [0, 0, 1, 1, 1, 1, 2, 3, 3, 3, 4, 4]


@pytest.mark.parametrize("make", [pack.packed, pack.padded])
def test_nothing_is_a_pass_without_a_loss(make, base: Path) -> None:
    model, batch = AutoModelForCausalLM.from_pretrained(base), make([], CPU)
    if make is pack.packed:
        attention.attend_in_packs(model)
    assert model(**batch.inputs, use_cache=False).logits.shape == (1, 1, VOCABULARY)
    assert batch.targets.tolist() == []
