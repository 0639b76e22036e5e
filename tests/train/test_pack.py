"""Packs: what a forward pass takes, and that no example sees another."""

from pathlib import Path

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

from fireact.train import attention, data, pack
from fireact.types import Example

CPU = torch.device("cpu")
VOCABULARY = 96
examples_of = st.lists(st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=40), min_size=1, max_size=6).map(
    lambda rows: [Example(str(number), tuple(ids), (1,) * len(ids)) for number, ids in enumerate(rows)])


def small(kind: str = "llama") -> torch.nn.Module:
    """A model with random weights; mistral's sees eight tokens at a time."""
    torch.manual_seed(0)
    sizes = {"vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
             "num_attention_heads": 4, "num_key_value_heads": 2, "initializer_range": 0.3}
    return (LlamaForCausalLM(LlamaConfig(**sizes)) if kind == "llama" else
            MistralForCausalLM(MistralConfig(**sizes, sliding_window=8))).eval()


@pytest.mark.parametrize("kind", ["llama", "mistral"])
@settings(max_examples=25, deadline=None)
@given(examples=examples_of)
def test_no_example_is_attended_by_another(kind: str, examples: list[Example]) -> None:
    plain, model = small(kind), small(kind)
    assert attention.can_pack(model)
    attention.attend_in_packs(model)
    with torch.no_grad():
        together = model(**pack.packed(examples, CPU).inputs, use_cache=False).logits[0]
        at = 0
        for example in examples:
            alone = plain(input_ids=torch.tensor([example.ids]), use_cache=False).logits[0]
            torch.testing.assert_close(together[at: at + len(example.ids)], alone, rtol=0, atol=1e-4)
            at += len(example.ids)


def test_gradients_of_a_pack_are_those_of_its_examples() -> None:
    examples = [Example(str(size), tuple(range(size)), (1,) * size) for size in (3, 17, 30)]
    plain, model = small(), small()
    attention.attend_in_packs(model)
    model(**pack.packed(examples, CPU).inputs, use_cache=False).logits.square().sum().backward()
    for example in examples:
        plain(input_ids=torch.tensor([example.ids]), use_cache=False).logits.square().sum().backward()
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
    batch = pack.packed(examples, CPU)
    assert batch.inputs["input_ids"].tolist() == [[5, 6, 7, 1, 2, 3, 4]]
    assert batch.inputs["position_ids"].tolist() == [[0, 1, 2, 0, 1, 2, 3]]
    assert batch.inputs["cu_seq_lens_q"].tolist() == [0, 3, 7]
    nothing = data.IGNORE
    assert batch.targets.tolist() == [[6, nothing, nothing, nothing, 3, 4, nothing]]
    assert batch.weights.tolist() == [[1, 0, 0, 0, 0.5, 2, 0]]
    rows = pack.padded(examples, CPU)
    assert rows.inputs["input_ids"].tolist() == [[5, 6, 7, 0], [1, 2, 3, 4]]
    assert rows.inputs["attention_mask"].tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]
    assert rows.targets.tolist() == [[6, nothing, nothing, nothing], [nothing, 3, 4, nothing]]
    assert rows.weights.tolist() == [[1, 0, 0, 0], [0, 0.5, 2, 0]]


@pytest.mark.parametrize("make", [pack.packed, pack.padded])
def test_nothing_is_a_pass_without_a_loss(make, base: Path) -> None:
    model, batch = AutoModelForCausalLM.from_pretrained(base), make([], CPU)
    if make is pack.packed:
        attention.attend_in_packs(model)
    assert model(**batch.inputs, use_cache=False).logits.shape == (1, 1, VOCABULARY)
    assert batch.targets.tolist() == [[data.IGNORE]]
