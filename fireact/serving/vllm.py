"""What vLLM is told when it is started."""

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fireact.serving import Serving
from fireact.serving.state import Spec
from fireact.slots import before
from fireact.store import key


@dataclass(frozen=True, kw_only=True)
class Base:
    """Weights that a server is for."""

    model: Path
    tokenizer: Path
    """The folder whose tokenizer belongs to them."""
    identity: str
    """What tells these weights from others, wherever they lie."""
    dtype: str
    window: int
    """The most tokens of prompt and reply together."""
    adapters: bool
    """Whether there may be adapters for them."""
    device: str = "auto"
    """cuda:1 is the second GPU; all else is left to vLLM."""

    @property
    def name(self) -> str:
        """What the server calls them."""
        return f"fireact-{self.identity}"

    def key(self, serving: Serving) -> str:
        """The name of the folder of the server on this machine: whoever needs the same finds the same."""
        return key(command=serving.program(), identity=self.identity,
                   dtype=self.dtype, device=self.device, machine=platform.node(), arguments=_arguments(self, serving))

    def spec(self, serving: Serving) -> Spec:
        """What is to be started."""
        where = ["--model", str(self.model.absolute()), "--tokenizer", str(self.tokenizer.absolute()),
                 "--served-model-name", self.name, "--host", "127.0.0.1", "--dtype", self.dtype]
        environment = _environment(self.device, before(os.environ))
        return Spec(command=[*serving.program(), *where, *_arguments(self, serving)], environment=environment,
                    startup=serving.startup, idle=serving.idle)


def _arguments(base: Base, serving: Serving) -> list[str]:
    # What a model's generation_config.json says of temperature, top_k or penalties is not to be mixed in.
    told = ["--generation-config", "vllm", "--enable-prefix-caching", "--enable-prompt-tokens-details",
            "--uvicorn-log-level", "warning", "--max-model-len", str(serving.max_model_len or base.window)]
    if serving.gpu_memory_utilization is not None:
        told += ["--gpu-memory-utilization", f"{serving.gpu_memory_utilization:g}"]
    if base.adapters and serving.max_loras:
        told += ["--enable-lora", "--max-loras", str(serving.max_loras),
                 "--max-lora-rank", str(serving.max_lora_rank)]
    return [*told, *serving.arguments]


def _environment(device: str, given: Mapping[str, str]) -> dict[str, str]:
    # No key: the server is reached from this machine only, and its clients know of none.
    told = {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True", "VLLM_NO_USAGE_STATS": "1", "VLLM_API_KEY": ""}
    kind, _, number = device.partition(":")
    if kind == "cuda" and number:
        visible = [name for name in given.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
        told["CUDA_VISIBLE_DEVICES"] = visible[int(number)] if int(number) < len(visible) else number
    return told
