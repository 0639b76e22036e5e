"""What a call is known by: who was asked, for what, and as which sample.

A request names its texts by their digests. The digest of a message is computed once, so that the key of a long
conversation costs no more than that of a short one.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from fireact.types import Act, Ask, Message


@dataclass(frozen=True)
class Party:
    """A model or a tool, by all that can change its answers."""

    identity: str
    """JSON: its class and options, an adapter's key, a corpus's content, the endpoint's family."""
    digest: bytes

    @classmethod
    def of(cls, **identity: Any) -> "Party":
        """Make one of plain values."""
        text = json.dumps(identity, sort_keys=True, default=str, ensure_ascii=False)
        return cls(text, _digest(text))


@dataclass(frozen=True)
class Request:
    """One call."""

    party: Party
    texts: Mapping[bytes, str]
    """Texts by their digests."""
    rest: str
    """JSON: all but the texts, which it names by their digests, in hex."""
    key: bytes


def ask_request(party: Party, ask: Ask) -> Request:
    """The request that asks a model. An ask's seed is its sample's number."""
    texts = dict(map(_message, ask.messages))
    rest = {"messages": [digest.hex() for digest, _ in map(_message, ask.messages)], "stop": ask.stop,
            "prime": ask.prime, "form": ask.form, "shots": ask.shots, "max_tokens": ask.max_tokens,
            "seed": ask.episode.seed if ask.episode else None}
    return _request(party, texts, rest)


def act_request(party: Party, act: Act, *, stateless: bool) -> Request:
    """The request that calls a tool; what the episode did before is part of it, unless the tool is `stateless`."""
    texts = dict([_text(act.argument)])
    rest: dict[str, Any] = {"tool": act.tool, "argument": _text(act.argument)[0].hex()}
    if not stateless:
        past = [(step.tool, step.argument, *_text(step.text)) for step in act.past if step.kind == "act"]
        texts.update((digest, text) for _, _, digest, text in past)
        rest |= {"past": [(tool, argument, digest.hex()) for tool, argument, digest, _ in past],
                 "question": act.episode.question_id if act.episode else None}
    return _request(party, texts, rest)


def _request(party: Party, texts: Mapping[bytes, str], rest: Mapping[str, Any]) -> Request:
    told = json.dumps(rest, separators=(",", ":"), ensure_ascii=False)
    return Request(party, texts, told, _digest(f"{party.digest.hex()}{told}"))


@lru_cache(maxsize=1 << 14)
def _message(message: Message) -> tuple[bytes, str]:
    return _text(f"{message.role}: {message.content}")


def _text(text: str) -> tuple[bytes, str]:
    # A lone half of a surrogate pair in a model's words has no UTF-8 form, and SQLite takes none.
    text = text.encode("utf-8", "replace").decode()
    return _digest(text), text


def _digest(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "replace"), digest_size=16).digest()
