"""Fine-tuning the student: `Train`, the options of the config group `train`.

The work is done by `python -m fireact.train.worker JOB.json`, a process of its own; this module imports no torch.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from fireact.examples import Loss
from fireact.types import RUNTIME, Count, NotNegative, Positive, Share

TooLong = Literal["error", "truncate", "drop"]


@dataclass(kw_only=True)
class Train:
    """How a model is fine-tuned."""

    module: ClassVar[str] = "fireact.train.prepare"
    """What is run to train."""
    student: ClassVar[str] = "local"
    """The kind of model that can be trained so: one whose `trained_by` says the same."""

    method: Literal["lora", "full"] = "lora"
    """Train low-rank adapters (Hu et al. 2021) beside the frozen weights, or all weights."""
    rank: Count = 16
    """LoRA: the inner dimension of an adapter."""
    alpha: Count = 32
    """LoRA: adapters are scaled by alpha / rank."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """LoRA: the share of an adapter's inputs dropped in training. 0 trains faster."""
    targets: str | list[str] = "all-linear"
    """LoRA: the linear modules with adapters, by the last part of their names; 'all-linear' is all but the head."""
    bias: Literal["none", "all", "lora_only"] = "none"
    """LoRA: which biases of the model are trained as well."""
    loss: Loss = "assistant"
    """What is trained on: `all_output` (as FireAct did: all that follows the question, observations included),
    `assistant` (thoughts and actions), `actions`, or `final` (the last turn only); see fireact/examples.py."""
    learning_rate: Positive = 1e-3
    """The highest learning rate, reached at the end of the warm-up. Full fine-tuning wants about 2e-5."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """How the learning rate goes on after the warm-up; linear and cosine end near 0 at the last step."""
    warmup_ratio: Share = 0.03
    """The share of the steps over which the learning rate rises linearly."""
    warmup_steps: Annotated[int, Field(ge=0)] | None = None
    """So many steps of warm-up in place of a share. FireAct's release has 100, more than the 90 steps that its 500
    trajectories make: the rate then never reaches `learning_rate`, which the training says."""
    epochs: Positive = 1
    """How often every example is seen; parts of an epoch are fine."""
    max_steps: Count | None = None
    """Stop after so many optimizer steps, if the epochs have not ended before."""
    batch_size: Count = 4
    """Sequences per optimizer step, over all processes."""
    micro_batch_size: Count = 4
    """Sequences per forward pass of one process: bounds the memory, changes nothing else."""
    weight_decay: NotNegative = 0.0
    """AdamW's decay, of matrices only."""
    max_grad_norm: Positive = 1.0
    """Longer gradients are scaled down to this norm."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """What is computed in: 'auto' is bfloat16 on CUDA, else float32. Trained weights are kept in float32 always."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about a third more time."""
    max_length: Count | None = None
    """The longest example in tokens, None: the model's window, beyond which no number goes. FireAct's release: 512."""
    too_long: TooLong = "error"
    """What becomes of a longer example. `truncate` cuts its end off, as FireAct's release did: its answer goes first.
    How many were cut, lost the end of their final answer, or were dropped is said and written to done.json."""
    checkpoint_every: Annotated[Count, RUNTIME] = 10
    """Steps between two checkpoints, from which a killed training goes on."""
    log_every: Annotated[Count, RUNTIME] = 1
    """Steps between two lines of metrics.jsonl."""
    validate_every: Count | None = None
    """Steps between two validations, None: at the end of each epoch. There is always one after the last step."""
    threads: Annotated[Count | None, RUNTIME] = None
    """CPU threads of a process, None: torch's choice."""
    processes: Annotated[Count, RUNTIME] = 1
    """Processes on this machine, one a device; more than one are started by `accelerate launch`."""
    accelerate_config: Annotated[Path | None, RUNTIME] = None
    """A file written by `accelerate config`, for other data-parallel layouts."""

    __pydantic_config__: ClassVar[ConfigDict] = {"extra": "forbid"}

    @property
    def makes(self) -> str:
        """The name of the folder that a training leaves."""
        return "model" if self.method == "full" else "adapter"
