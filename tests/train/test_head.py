"""The loss of a frozen head, a few tokens at a time: that of all logits at once."""

import pytest
import torch
from transformers import Gemma2Config, Gemma2ForCausalLM, GraniteConfig, GraniteForCausalLM

from fireact.train import head, pack
from fireact.types import Example as Row
from tests.train.test_pack import CPU, small

SIZES = {"vocab_size": 96, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1,
         "num_attention_heads": 4, "num_key_value_heads": 2}
ROWS = [Row(str(size), tuple(range(size)), (0,) + (0.5,) * (size - 1)) for size in (2, 13, 29)]


def losses(frozen_linear: bool, kind: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Losses, what was right, and the gradient of the embedding, of a weighted sum."""
    model = small().to(kind)
    model.lm_head.requires_grad_(False)
    batch = pack.padded(ROWS, CPU)
    found, right = head.token_losses(model, model.lm_head, batch, frozen_linear)
    (found * torch.linspace(0, 1, len(found))).sum().backward()
    return found.detach(), right, model.get_input_embeddings().weight.grad


@pytest.mark.parametrize("at_once", [1, 960, 2 ** 23])
def test_a_few_tokens_at_a_time_have_the_losses_and_gradients_of_all_at_once(
        at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head, "_AT_ONCE", at_once)
    for ours, plain in zip(losses(True), losses(False), strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-4)


def test_in_half_precision_it_is_as_exact_as_all_at_once() -> None:
    """A token that is as good as certain has a small gradient, which rounding must not drown."""
    (_, _, ours), (_, _, plain), (_, _, exact) = (losses(True, torch.bfloat16), losses(False, torch.bfloat16),
                                                  losses(False))
    assert (ours - exact).norm() < 1.2 * (plain - exact).norm()


def test_no_token_has_no_loss() -> None:
    model = small()
    batch = pack.padded([], CPU)
    found, right = head.token_losses(model, model.lm_head, batch, True)
    assert found.shape == right.shape == (0,)
    found.sum().backward()


def test_models_that_change_their_logits_are_told_from_those_that_do_not() -> None:
    model = small()
    assert not head.is_frozen_linear(model)
    model.lm_head.requires_grad_(False)
    assert head.is_frozen_linear(model)
    for changed in (Gemma2ForCausalLM(Gemma2Config(**SIZES, head_dim=8)),
                    GraniteForCausalLM(GraniteConfig(**SIZES, logits_scaling=8.0))):
        assert not head.is_frozen_linear(changed.eval().requires_grad_(False))
