"""Fine-tuning the student: `Train`, the options of the config group `train`.

The work is done by `python -m fireact.train.worker JOB.json`, a process of its own; this module imports no torch.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from fireact.examples import Loss
from fireact.options import RUNTIME, Count, NotNegative, Positive, Share
from fireact.tokenize.audit import Audit
from fireact.tokenize.rows import TooLong

TOKENS = ("loss", "step_weights", "final_weight", "end_of_turn", "max_length", "too_long")
"""The options that decide which tokens are trained on: trainings that share them share their tokens."""


@dataclass(kw_only=True)
class Dpo:
    """Direct preference optimisation on pairs of trajectories, see fireact/train/objective.py."""

    beta: Positive = 0.1
    """How dear it is to leave the reference; less lets the policy go further."""
    length_normalised: bool = False
    """Divide each trajectory's log-probability by the number of its trained tokens (Meng et al. 2024, table 2)."""
    sft_weight: NotNegative = 0.0
    """So much of the chosen one's mean loss a token is added (RPO, Pang et al. 2024, eq. 2)."""

    __pydantic_config__: ClassVar[ConfigDict] = {"extra": "forbid"}


@dataclass(kw_only=True)
class Train:
    """How a model is fine-tuned."""

    module: ClassVar[str] = "fireact.train.prepare"
    """What is run to train."""
    preflight: ClassVar[str] = "fireact.train.preflight"
    """What is run to see whether it could begin here."""
    student: ClassVar[str] = "local"
    """The kind of model that can be trained so: one whose `trained_by` says the same."""

    method: Literal["lora", "full"] = "lora"
    """Train low-rank adapters (Hu et al. 2021) beside the frozen weights, or all weights."""
    bits: Literal[4, 8] | None = None
    """LoRA: keep the frozen weights in so many bits (QLoRA, Dettmers et al. 2023), with bitsandbytes on CUDA."""
    rank: Count = 16
    """LoRA: the inner dimension of an adapter."""
    alpha: Count = 32
    """LoRA: adapters are scaled by alpha / rank."""
    rslora: bool = False
    """LoRA: scale adapters by alpha / √rank instead (Kalajdzievski 2023)."""
    dora: bool = False
    """LoRA: learn magnitude and direction apart (DoRA, Liu et al. 2024). Slower."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """LoRA: the share of an adapter's inputs dropped in training. 0 trains faster."""
    targets: str | list[str] = "all-linear"
    """LoRA: the linear modules with adapters, by the last part of their names; 'all-linear' is all but the head."""
    bias: Literal["none", "all", "lora_only"] = "none"
    """LoRA: which biases of the model are trained as well."""
    start_from: Path | None = None
    """Go on from a copy of this: an adapter's folder, whose rank and targets hold, or for `full` a model's."""
    dpo: Dpo | None = None
    """Train on pairs of a good and a bad trajectory, the weights at the start being the reference; None: on good ones
    alone."""
    loss: Loss = "assistant"
    """What is trained on: `all_output` (as FireAct did: all that follows the question, observations included),
    `assistant` (thoughts and actions), `actions`, or `final` (the last turn only); see fireact/examples.py."""
    step_weights: Annotated[list[NotNegative], Field(min_length=1)] = field(default_factory=lambda: [1.0])
    """The weight of the model's first turn in the loss, of its second, ...; the last is that of all further ones."""
    final_weight: NotNegative = 1.0
    """By how much more the last turn, the answer, weighs."""
    end_of_turn: bool = True
    """Whether what ends a turn is trained with it. Without it a student does not learn to stop."""
    max_length: Count | None = None
    """The longest example in tokens, None: the model's window, beyond which no number goes. FireAct's release: 512."""
    too_long: TooLong = "error"
    """What becomes of a longer example: `error`, `shorten` (its middle observations first), `drop` (by name), or
    `truncate`, which cuts its end off as FireAct's release did: its answer goes first."""
    audit: Annotated[Audit, RUNTIME] = field(default_factory=Audit)
    """How many rows may have which fault before the run is stopped, see fireact/tokenize/audit.py."""
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
    micro_batch_tokens: Annotated[Count, RUNTIME] = 1280
    """Tokens that a process computes at a time, if not a single sequence is longer: bounds the memory, changes nothing
    else. LoRA on a CPU shares them out over passes side by side. Halved where the memory does not suffice."""
    packing: bool = True
    """Put the sequences of a forward pass one behind the other, without padding, each attending to itself alone. A
    model whose layers are not all attention pads in any case."""
    weight_decay: NotNegative = 0.0
    """AdamW's decay, of matrices only."""
    max_grad_norm: Positive = 1.0
    """Longer gradients are scaled down to this norm."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """What is computed in: 'auto' is bfloat16 on CUDA, else float32. Trained weights are kept in float32 always."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about a third more time."""
    liger: bool = False
    """Use Liger's kernels for norms, rotary positions and gates; on CUDA, with `pip install liger-kernel`."""
    compile: bool = False
    """Compile the model with torch.compile: minutes at the start, for long trainings on a GPU."""
    checkpoint_every: Annotated[Count, RUNTIME] = 10
    """Steps between two checkpoints, from which a killed training goes on."""
    keep_checkpoints: Annotated[Count, RUNTIME] = 2
    """How many of the newest checkpoints are kept."""
    log_every: Annotated[Count, RUNTIME] = 1
    """Steps between two lines of metrics.jsonl."""
    validate_every: Count | None = None
    """Steps between two validations, None: at the end of each epoch. There is always one after the last step."""
    keep: Literal["last", "best"] = "last"
    """Which weights the training leaves: the last, or those of the best validation."""
    judge: Literal["loss", "episodes"] = "loss"
    """What makes a validation the best: the lowest loss on held-out trajectories, or the most exact matches in
    episodes that the student plays."""
    judge_episodes: Count = 20
    """Questions of the validation split that the student plays for judge=episodes."""
    patience: Count | None = None
    """Stop after so many validations in a row that are no better than the best. None: train to the end."""
    check_memory: Annotated[bool, RUNTIME] = True
    """Estimate the memory before anything is loaded, and refuse what cannot fit."""
    threads: Annotated[Count | None, RUNTIME] = None
    """CPU threads of a process, None: torch's choice."""
    processes: Annotated[Count, RUNTIME] = 1
    """Processes on this machine, one a device; more than one are started by `accelerate launch`."""
    accelerate_config: Annotated[Path | None, RUNTIME] = None
    """A file for `accelerate launch`: data-parallel, FSDP2, ZeRO, several machines. See conf/accelerate."""

    __pydantic_config__: ClassVar[ConfigDict] = {"extra": "forbid"}

    @property
    def makes(self) -> str:
        """The name of the folder that a training leaves."""
        return "model" if self.method == "full" else "adapter"
