"""DeepSpeed's ZeRO, stages 1 and 2: all weights in each process, of the moments (stage 2: of gradients too) a share.

Accelerate's wrapper of the engine steps within the last backward pass. Here the loop steps, as in every other layout:
after it has seen that the loss and the gradient are numbers.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from fireact.errors import ConfigError
from fireact.train import Train

BUCKET = 50_000_000
"""Gradients that are summed over the processes at once; DeepSpeed's own number takes 2 GB of each device."""


def asked() -> bool:
    """Whether accelerate's launcher has started this process for DeepSpeed."""
    return os.environ.get("ACCELERATE_USE_DEEPSPEED", "false").lower() == "true"


def check(stage: int, offload: str | None) -> None:
    """Refuse what this loop does not do with DeepSpeed. Raises ConfigError."""
    if find_spec("deepspeed") is None:
        raise ConfigError("accelerate was configured for DeepSpeed, which is not installed: pip install "
                          "'fireact[deepspeed]', or choose conf/accelerate/fsdp2_8.yml, which needs nothing more")
    if stage not in (1, 2):
        raise ConfigError(f"accelerate was configured for DeepSpeed's zero_stage {stage}; expected 1 or 2: to share "
                          "out the weights as well choose FSDP2, e.g. conf/accelerate/fsdp2_8.yml")
    if offload not in (None, "none"):
        raise ConfigError(f"accelerate was configured for DeepSpeed's offload_optimizer_device {offload!r}; expected "
                          "none: share the moments out over more devices, or choose train=lora")


def configure(accelerator: Accelerator, train: Train, dtype: torch.dtype) -> None:
    """Set DeepSpeed's options as this loop needs them. Raises ConfigError."""
    plugin: Any = accelerator.state.deepspeed_plugin
    check(plugin.zero_stage, plugin.offload_optimizer_device)
    if dtype == torch.float16:
        raise ConfigError("train.dtype is float16, which DeepSpeed trains weights in as well; expected bfloat16 or "
                          "float32: set one of them, or choose FSDP2, e.g. conf/accelerate/fsdp2_8.yml")
    # The loop itself accumulates gradients, weighs them and computes in half precision: the engine is to do none of it.
    plugin.deepspeed_config |= {"train_batch_size": "auto", "train_micro_batch_size_per_gpu": 1,
                                "gradient_accumulation_steps": 1, "gradient_clipping": train.max_grad_norm,
                                "fp16": {"enabled": False}, "bf16": {"enabled": False}}
    plugin.deepspeed_config["zero_optimization"].setdefault("reduce_bucket_size", BUCKET)


def prepare(accelerator: Accelerator, model: nn.Module, optimizer: torch.optim.Optimizer,
            dtype: torch.dtype) -> tuple[Any, ZeroOptimizer]:
    """Give the model to an engine that computes in `dtype` by autocast, as data-parallel processes do."""
    parameters = [list(group["params"]) for group in optimizer.param_groups]
    if dtype != torch.float32:
        model.forward = torch.autocast(accelerator.device.type, dtype)(model.forward)
    engine, _ = accelerator.prepare(model, optimizer)
    stepping: Any = ZeroOptimizer(engine, parameters)
    accelerator.deepspeed_engine_wrapped = stepping
    return engine, stepping


@contextmanager
def accumulating(engine: Any) -> Iterator[None]:
    """Tell the engine that the passes within are not the last of a step."""
    engine.set_gradient_accumulation_boundary(False)
    try:
        yield
    finally:
        engine.set_gradient_accumulation_boundary(True)


class ZeroOptimizer:
    """The optimizer of an engine, for the loop, and in it what accelerate calls for `backward` and for the norm."""

    def __init__(self, engine: Any, parameters: Sequence[Sequence[Tensor]]) -> None:
        """`parameters` are those of each group, which the engine has replaced by a flat share of them."""
        self.engine = engine
        self.parameters = parameters

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The groups, for the learning rate."""
        return self.engine.optimizer.param_groups

    def backward(self, loss: Tensor, sync_gradients: bool = True) -> None:
        """Add the gradient of `loss` to this process's share of the gradients' mean over all."""
        self.engine.backward(loss)

    def get_global_grad_norm(self) -> Tensor:
        """The norm of the gradient before the engine clips it, whose own number hides what is not finite."""
        norms = [torch.linalg.vector_norm(gradient) for gradients in self.engine.optimizer.averaged_gradients.values()
                 for gradient in gradients]
        total = torch.stack(norms).square().sum()
        torch.distributed.all_reduce(total)
        return total.sqrt()

    def step(self) -> None:
        """Clip the gradient and take a step."""
        self.engine.step()

    def zero_grad(self) -> None:
        """Nothing: the engine's step has dropped the gradients."""

    def moments(self, keep: bool) -> Iterator[tuple[int, str, Tensor]]:
        """Give each parameter's number and its moments by name; processes that do not `keep` them only take part.

        One moment at a time is whole on a device.
        """
        utils, states = import_module("deepspeed.utils"), self.engine.optimizer.state
        for number, parameter, flat in self._numbered():
            # The engine's first step finds the moments of the first group alone.
            utils.lazy_init_hp_params_optimizer_state([parameter], flat, states)
            for name, moment in states[flat].items():
                shared = moment.shape == flat.shape
                whole = utils.safe_get_full_optimizer_state(parameter, name) if shared else moment.clone()
                if keep:
                    yield number, name, whole.cpu()

    def load(self, moments: Mapping[int, Mapping[str, Tensor]]) -> None:
        """Go on with the model's weights as they are now, and with whole moments by the parameter's number."""
        utils, optimizer = import_module("deepspeed.utils"), self.engine.optimizer
        optimizer.refresh_fp32_params()
        for number, parameter, flat in self._numbered():
            kept = moments[number]
            whole = [name for name, moment in kept.items() if moment.shape == parameter.shape]
            if not optimizer.state[flat]:
                optimizer.state[flat] = {name: torch.zeros_like(flat) if name in whole else moment.to(flat.device)
                                         for name, moment in kept.items()}
            utils.lazy_init_hp_params_optimizer_state([parameter], flat, optimizer.state)
            for name in whole:
                utils.safe_set_full_optimizer_state(parameter, kept[name], name)

    def _numbered(self) -> Iterator[tuple[int, Any, Any]]:
        """Give each parameter's number, as torch's optimizers count, itself, and the flat share of its group."""
        numbers = iter(range(sum(map(len, self.parameters))))
        for group, parameters in zip(self.param_groups, self.parameters, strict=True):
            for parameter in parameters:
                yield next(numbers), parameter, group["params"][0]
