"""What an engine makes of token ids, without a text in between: to hold one engine against another.

    probe = await model.probe()
    reply = await probe.greedy(prompt, 40)
    logs = await probe.score(prompt, reply)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fireact.serving.client import Client


@dataclass(frozen=True)
class Probe:
    """A model on a server, asked in token ids. Both raise ProviderError and ContextError."""

    client: Client
    model: str
    """What the server calls it: the weights, or an adapter for them."""
    ends: frozenset[int]
    """The token ids that end a reply."""

    async def greedy(self, prompt_ids: Sequence[int], max_tokens: int) -> list[int]:
        """The ids of the most likely reply, token by token, with what ends it where it ended before `max_tokens`."""
        answer = await self.client.complete(self.model, prompt_ids, max_tokens=max_tokens, temperature=0.0,
                                            stop_token_ids=sorted(self.ends))
        return answer["choices"][0]["token_ids"]

    async def score(self, prompt_ids: Sequence[int], reply_ids: Sequence[int]) -> list[float]:
        """The natural logarithm of the probability of each token of a reply, at temperature 1, given all before it."""
        ids = [*prompt_ids, *reply_ids]
        answer = await self.client.complete(self.model, ids, max_tokens=1, temperature=0.0, prompt_logprobs=0)
        places: list[dict[str, Any]] = answer["choices"][0]["prompt_logprobs"]
        return [places[at][str(ids[at])]["logprob"] for at in range(len(prompt_ids), len(ids))]
