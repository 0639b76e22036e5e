"""Fine-tuning the student: `Train`, the options of the config group `train`.

The work is done by `python -m fireact.train.worker JOB.json`, a process of its own; this module imports no torch.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict

from fireact.errors import ConfigError
from fireact.types import RUNTIME


@dataclass(kw_only=True)
class Train:
    """How a model is fine-tuned. Raises ConfigError for a value that makes no sense."""

    method: Literal["lora", "full"] = "lora"
    """Train low-rank adapters (Hu et al. 2021) beside the frozen weights, or all weights."""
    rank: int = 16
    """LoRA: the inner dimension of an adapter."""
    alpha: int = 32
    """LoRA: adapters are scaled by alpha / rank."""
    dropout: float = 0.0
    """LoRA: the share of an adapter's inputs dropped in training. 0 trains faster."""
    targets: str | list[str] = "all-linear"
    """LoRA: the linear modules with adapters, by the last part of their names; 'all-linear' is all but the head."""
    bias: Literal["none", "all", "lora_only"] = "none"
    """LoRA: which biases of the model are trained as well."""
    learning_rate: float = 1e-3
    """The highest learning rate, reached at the end of the warm-up. Full fine-tuning wants about 2e-5."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """How the learning rate goes on after the warm-up; linear and cosine end near 0 at the last step."""
    warmup_ratio: float = 0.03
    """The share of the steps over which the learning rate rises linearly."""
    epochs: float = 1
    """How often every example is seen; parts of an epoch are fine."""
    max_steps: int | None = None
    """Stop after so many optimizer steps, if the epochs have not ended before."""
    batch_size: int = 8
    """Sequences per optimizer step, over all processes."""
    micro_batch_size: int = 4
    """Sequences per forward pass of one process: bounds the memory, changes nothing else."""
    weight_decay: float = 0.0
    """AdamW's decay, of matrices only."""
    max_grad_norm: float = 1.0
    """Longer gradients are scaled down to this norm."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """What is computed in: 'auto' is bfloat16 on CUDA, else float32. Trained weights are kept in float32 always."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about a third more time."""
    max_length: int | None = None
    """The longest example in tokens, None: the model's window. A longer one is an error; nothing is ever cut."""
    checkpoint_every: Annotated[int, RUNTIME] = 20
    """Steps between two checkpoints, from which a killed training goes on."""
    log_every: Annotated[int, RUNTIME] = 1
    """Steps between two lines of metrics.jsonl."""
    validate_every: int | None = None
    """Steps between two validations, None: at the end of each epoch. There is always one after the last step."""
    threads: Annotated[int | None, RUNTIME] = None
    """CPU threads of a process, None: torch's choice."""
    processes: Annotated[int, RUNTIME] = 1
    """Processes on this machine, one a device; more than one are started by `accelerate launch`."""
    accelerate_config: Annotated[Path | None, RUNTIME] = None
    """A file written by `accelerate config`, for other data-parallel layouts."""

    __pydantic_config__: ClassVar[ConfigDict] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        """Refuse numbers out of their range."""
        at_least_one = ("rank", "max_steps", "batch_size", "micro_batch_size", "max_length", "checkpoint_every",
                        "log_every", "validate_every", "threads", "processes")
        for name in at_least_one:
            value = getattr(self, name)
            self._expect(value is None or value >= 1, name, "at least 1")
        for name in ("alpha", "learning_rate", "epochs", "max_grad_norm"):
            self._expect(getattr(self, name) > 0, name, "more than 0")
        self._expect(0 <= self.dropout < 1, "dropout", "a share from 0 up to but not including 1")
        self._expect(0 <= self.warmup_ratio <= 1, "warmup_ratio", "a share between 0 and 1")
        self._expect(self.weight_decay >= 0, "weight_decay", "0 or more")

    def _expect(self, fine: bool, name: str, expected: str) -> None:
        if not fine:
            raise ConfigError(f"train.{name}={getattr(self, name)} makes no sense; expected {expected}")
