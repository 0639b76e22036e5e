"""A local model's replies from a server of vLLM on this machine, in place of an engine in this process.

Prompts are rendered and tokenized here, by the same functions as for training, and sent as token ids; what comes back
are token ids, of which the text is made here too.
"""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fireact.errors import ConfigError, ProviderError
from fireact.model.local import weights
from fireact.model.local.jobs import Judged
from fireact.model.local.replies import need_room, reply_ends, reply_text, seed
from fireact.render import render_prompt
from fireact.requests import Ask
from fireact.serving import Serving
from fireact.serving.client import Client
from fireact.serving.lease import take
from fireact.serving.state import Folder
from fireact.serving.vllm import Base
from fireact.store import fingerprint, key
from fireact.strategy.tagged import read_reply
from fireact.types import Completion

if TYPE_CHECKING:
    from fireact.model.local import Local

_CONFIG = "adapter_config.json"


@dataclass(frozen=True, kw_only=True)
class Served:
    """A model on a server; the fields that are not explained are those of `Local`."""

    client: Client
    model: str
    """What the server calls it."""
    tokenizer: Any
    ends: frozenset[int]
    """The token ids that end a reply."""
    name: str
    window: int
    max_tokens: int
    temperature: float
    top_p: float

    async def complete(self, ask: Ask) -> Completion:
        """Reply once. Raises ProviderError, ContextError."""
        started = time.monotonic()
        prompt = render_prompt(self.tokenizer, ask.messages, ask.prime, ask.tools)
        longest = ask.max_tokens or max(self.max_tokens, ask.room)
        need_room(self.name, len(prompt), longest, self.window)
        temperature = self.temperature if ask.temperature is None else ask.temperature
        options: dict[str, Any] = {"max_tokens": longest, "temperature": temperature, "top_p": self.top_p,
                                   "stop_token_ids": sorted(self.ends)}
        if ask.stop:
            options["stop"] = list(ask.stop)
        if temperature:
            options["seed"] = seed(ask, prompt) % 2**63
        answer = await self.client.complete(self.model, prompt, **options)
        choice, usage = answer["choices"][0], answer.get("usage") or {}
        if choice.get("finish_reason") not in ("stop", "length"):
            raise ProviderError(f"the server of {self.name} broke a reply off "
                                f"(finish_reason={choice.get('finish_reason')!r}); start the same command again")
        reply = choice["token_ids"]
        text = reply_text(self.tokenizer, reply, self.ends, ask.stop)
        text, calls = read_reply(text) if ask.tools else (text, ())
        return Completion(text, choice["finish_reason"], calls=calls,
                          prompt_tokens=len(prompt), completion_tokens=len(reply),
                          cached_tokens=(usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0,
                          seconds=time.monotonic() - started)

    async def judge(self, prompt: Sequence[int], reply: Sequence[int]) -> Judged:
        """Say what the model thinks of a known reply. Raises ProviderError, ContextError."""
        ids = [*prompt, *reply]
        answer = await self.client.complete(self.model, ids, max_tokens=1, temperature=0.0, prompt_logprobs=1)
        places: list[dict[str, Any]] = answer["choices"][0]["prompt_logprobs"][len(prompt):]
        return Judged([int(max(place, key=lambda token: place[token]["logprob"])) for place in places],
                      [place[str(token)]["logprob"] for place, token in zip(places, reply, strict=True)])


async def connect(local: "Local") -> Served:
    """Find or start the server of a model, and have its adapter served. Raises ConfigError, ProviderError."""
    tokenizer, ends, lora, base = await asyncio.to_thread(_parts, local)
    if lora is not None:
        _need_rank(lora, local.serving)
    place = Folder(local.home.absolute().parent / "serving" / base.key(local.serving))
    client = Client(await take(place, base.spec(local.serving), local.name, local.serving.need))
    try:
        model = base.name if lora is None else adapter_name(lora)
        if lora is not None:
            await client.load_adapter(model, lora)
    except BaseException:
        await client.close()
        raise
    window = min(local.context_window(), local.serving.max_model_len or base.window)
    return Served(client=client, model=model, tokenizer=tokenizer, ends=ends, name=local.name, window=window,
                  max_tokens=local.max_tokens, temperature=local.temperature, top_p=local.top_p)


def adapter_name(adapter: Path) -> str:
    """What a server calls an adapter: the same content has the same name, wherever it lies."""
    files = [adapter / _CONFIG, *sorted(adapter.glob("adapter_model.*"))]
    return f"fireact-{key(files=[fingerprint(file) for file in files])}"


def _parts(local: "Local") -> tuple[Any, frozenset[int], Path | None, Base]:
    folder = local.folder()
    lora, whole = weights.tuned_parts(folder, local.adapter)
    tokenizer = local.tokenizer()
    base = Base(model=whole, tokenizer=folder, identity=weights.identity(whole), dtype=_dtype(local),
                window=weights.window(whole), adapters=whole == folder, device=local.device)
    return tokenizer, frozenset(reply_ends(whole, tokenizer)), lora, base


def _dtype(local: "Local") -> str:
    """As the engine in this process chooses, but by what the system shows of GPUs: torch may not be there to ask."""
    if local.device == "mps":
        raise ConfigError("model.engine=vllm cannot use device=mps; set model.device=cpu, or model.engine=transformers")
    if local.dtype != "auto":
        return local.dtype
    gpu = any(Path(device).exists() for device in ("/dev/nvidia0", "/dev/nvidiactl", "/dev/kfd"))
    return "bfloat16" if local.device.startswith("cuda") or (local.device == "auto" and gpu) else "float32"


def _need_rank(adapter: Path, serving: Serving) -> None:
    config = json.loads((adapter / _CONFIG).read_text(encoding="utf-8"))
    rank = max([config.get("r") or 0, *(config.get("rank_pattern") or {}).values()])
    if not serving.max_loras:
        raise ConfigError(f"model.serving.max_loras=0 serves no adapter, such as {adapter}; set it to 1 or more")
    if rank > serving.max_lora_rank:
        raise ConfigError(f"the adapter {adapter} has rank {rank}, more than model.serving.max_lora_rank="
                          f"{serving.max_lora_rank}; raise it to one of vLLM's that holds it")
