"""Parts of a model in better forms: Liger's kernels, where they are installed and asked for, else our own layers."""

from importlib import import_module
from importlib.util import find_spec

import torch
from transformers import PreTrainedModel

from fireact.errors import ConfigError
from fireact.train import layers

_LIGER = "liger_kernel.transformers.monkey_patch"


def speed_up(model: PreTrainedModel, *, liger: bool, compiled: bool) -> None:
    """Replace parts of `model` by equal ones that take less memory and time. Raises ConfigError."""
    if liger:
        _use_liger(model)
    elif not compiled:  # The compiler fuses what it finds, and does not look into ours.
        layers.plug_in(model)


def _use_liger(model: PreTrainedModel) -> None:
    """Replace norms, rotary positions and layers of `model` by Liger's (Hsu et al. 2024).

    Its losses are not used: logits are computed at trained positions only.
    """
    need_liger(model.config.model_type)
    liger = import_module(_LIGER)
    liger._apply_liger_kernel_to_instance(model=model, cross_entropy=False, fused_linear_cross_entropy=False)


def need_liger(model_type: str) -> None:
    """Refuse a machine without Liger's kernels, and a kind of model that they do not know. Raises ConfigError."""
    if not torch.cuda.is_available():
        raise ConfigError("train.liger=true needs an NVIDIA GPU, and torch sees none here; leave it out")
    if find_spec("liger_kernel") is None:
        raise ConfigError("train.liger=true needs liger-kernel, which is not installed; "
                          "run: pip install 'fireact[gpu]'")
    if model_type not in import_module(_LIGER).MODEL_TYPE_TO_APPLY_LIGER_FN:
        raise ConfigError(f"train.liger=true, and Liger has no kernels for {model_type!r}; leave it out")
