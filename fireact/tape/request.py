"""What a call is known by: who was asked, for what, and as which sample.

A conversation is a chain, each message linked to the one before it, and a request names only its end. So a long
conversation makes neither longer requests nor more work than a short one, and what two have in common is kept once.
"""

import json
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple

from fireact.requests import Act, Ask
from fireact.types import Message, Step

CHAINS = ("messages", "argument", "past")
"""The fields of a request that name the end of a chain, by its digest in hex."""


@dataclass(frozen=True)
class Party:
    """A model or a tool, by all that can change its answers."""

    identity: str
    """JSON: its class and options, an adapter's key, a corpus's content, the endpoint's family."""
    digest: bytes

    @classmethod
    def of(cls, **identity: Any) -> "Party":
        """Make one of plain values."""
        text = json.dumps(identity, sort_keys=True, default=str)
        return cls(text, _digest(text))


class Link(NamedTuple):
    """A text of a chain, and all before it."""

    digest: bytes
    before: bytes
    """The digest of the link before it; of a first link the name of its field."""
    text: str


@dataclass(frozen=True)
class Request:
    """One call."""

    party: Party
    chains: dict[str, list[Link]]
    """By their fields."""
    told: str
    """JSON: all but the texts."""
    key: bytes


def ask_request(party: Party, ask: Ask, *, seeded: bool = True) -> Request:
    """The request that asks a model.

    An ask's seed is its sample's number; a model that is not `seeded` draws no sample: its reply is the same for all.
    """
    rest = {"stop": ask.stop, "prime": ask.prime, "form": ask.form, "shots": ask.shots, "max_tokens": ask.max_tokens,
            "seed": ask.episode.seed if ask.episode and (seeded or ask.temperature) else None}
    if ask.tools:
        rest["tools"] = blake2b(json.dumps([spec.as_function() for spec in ask.tools]).encode()).hexdigest()[:32]
    if ask.room:
        rest["room"] = ask.room
    if ask.temperature is not None:
        rest["temperature"] = ask.temperature
    return _request(party, {"messages": ask.messages}, rest)


def act_request(party: Party, act: Act, *, stateless: bool) -> Request:
    """The request that calls a tool; what the episode did before is part of it, unless the tool is `stateless`."""
    if stateless:
        return _request(party, {"argument": (act.argument,)}, {"tool": act.tool})
    past = tuple(step for step in act.past if step.kind == "act")
    return _request(party, {"argument": (act.argument,), "past": past},
                    {"tool": act.tool, "question": act.episode.question_id if act.episode else None,
                     **({"place": act.place} if act.place else {})})


def _request(party: Party, texts: dict[str, tuple[Any, ...]], rest: dict[str, Any]) -> Request:
    chains: dict[str, list[Link]] = {}
    for name, parts in texts.items():
        chain = chains[name] = []
        before = name.encode()
        for part in parts:
            chain.append(_link(before, part))
            before = chain[-1].digest
    ends = {name: chain[-1].digest.hex() if chain else "" for name, chain in chains.items()}
    told = json.dumps({**ends, **rest}, separators=(",", ":"))
    return Request(party, chains, told, _digest(party.digest.hex() + told))


@lru_cache(maxsize=1 << 14)
def _link(before: bytes, part: Message | Step | str) -> Link:
    if isinstance(part, Message):
        called = "".join(f"\n{call}" for call in part.calls)
        text = f"{part.role}: {part.content}{called}"
    elif isinstance(part, Step):
        text = f"{part.tool}[{part.argument}]: {part.text} {list(part.ids)}"
    else:
        text = part
    # A lone half of a surrogate pair in a model's words has no UTF-8 form, and SQLite takes none.
    return Link(_digest(f"{before.hex()} {text}"), before, text.encode("utf-8", "replace").decode())


def _digest(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
