"""What a training is expected to take, beside what torch keeps: counted, so without noise."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks
from transformers import LlamaConfig, LlamaForCausalLM

from fireact.train import layers, memory, worker
from fireact.types import Example
from tests.train.conftest import MakeJob

SHAPE = {"vocab_size": 1000, "hidden_size": 256, "intermediate_size": 688, "num_hidden_layers": 8,
         "num_attention_heads": 8, "num_key_value_heads": 4, "max_position_embeddings": 512}
TOKENS = 512


@pytest.fixture(scope="module")
def middling(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama wide enough for what grows with its width to decide."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("middling")
    LlamaForCausalLM(LlamaConfig(**SHAPE)).save_pretrained(folder)
    return folder


def kept(training: Any, examples: list[Example]) -> int:
    """Bytes of all tensors that a forward pass keeps for the backward pass, weights and what shares storage once."""
    weights = {weight.untyped_storage().data_ptr() for weight in training.bare.parameters()}
    found: dict[int, tuple[int, Any]] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            found[storage.data_ptr()] = storage.nbytes(), tensor
        return tensor

    def note_too(keep: Callable[[torch.Tensor], Any], give: Callable[[Any], torch.Tensor]) -> saved_tensors_hooks:
        """Hooks that stand in for `note` where layers have their own."""
        return saved_tensors_hooks(
            lambda tensor: note(kept) if isinstance(kept := keep(tensor), torch.Tensor) else kept, give)

    with pytest.MonkeyPatch.context() as patch, training.accelerator.autocast(), saved_tensors_hooks(
            note, lambda tensor: tensor):
        patch.setattr(layers, "saved_tensors_hooks", note_too)
        training._loss(training.model, examples)
    return sum(size for size, _ in found.values())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("options", [{}, {"method": "full"}, {"dropout": 0.1}], ids=str)
def test_activations_are_what_torch_keeps(make_job: MakeJob, middling: Path, dtype: str, checkpointing: bool,
                                          options: dict[str, Any]) -> None:
    examples = [Example(str(n), tuple(range(n, n + 128)), (0,) * 77 + (1,) * 51) for n in range(TOKENS // 128)]
    job = worker.read_job(make_job(base=middling, examples=examples, dtype=dtype, rank=8, **options,
                                   gradient_checkpointing=checkpointing, check_memory=False))
    training = worker.start(job, examples, [])
    precision = {"float32": torch.float32, "bfloat16": torch.bfloat16}[dtype]
    config = LlamaConfig(**SHAPE)
    expected = memory.estimate(config, job.train, TOKENS, precision).activations
    if checkpointing:
        expected -= TOKENS * memory.layer_activations(config, job.train, precision.itemsize)
    if options.get("method") == "full" and dtype == "bfloat16":
        # Autocast's copies of the weights, which the estimate counts among those.
        expected += 2 * sum(weight.numel() for weight in training.bare.parameters() if weight.ndim > 1)
    # Of logits the estimate has what the backward pass adds, for more trained tokens than there are here.
    assert (0.3 if checkpointing else 0.85) < kept(training, examples) / expected <= 1.0
