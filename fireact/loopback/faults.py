"""What can go wrong with a request, and counts of what came.

Which fault a request meets is drawn from the seed, from what is asked, and from how often that was asked before, never
from the clock: the same requests meet the same faults whatever their order is.
"""

import marshal
from collections import Counter
from dataclasses import dataclass, field, fields
from hashlib import blake2b
from math import isfinite
from typing import Any, Literal

from fireact.errors import ConfigError

Drawn = Literal["rate_limited", "error", "dropped", "malformed", "stalled"]
"""The faults that a share of the requests meets, at most one each; their names are fields of `Faults`."""
DRAWN: tuple[Drawn, ...] = ("rate_limited", "error", "dropped", "malformed", "stalled")


@dataclass(kw_only=True)
class Faults:
    """All that a server can do wrong, and how it may be limited; by default nothing. May be changed while it runs."""

    delay: float = 0.0
    """Seconds before every good reply."""
    slow: float = 0.0
    """The share of good replies that take `slowness` times as long; without a delay this makes no difference."""
    slowness: float = 10.0
    """How many times as long a slow reply takes."""
    rate_limited: float = 0.0
    """The share of requests that are answered 429 with Retry-After."""
    retry_after: float = 0.05
    """The seconds that Retry-After tells, fractions included."""
    error: float = 0.0
    """The share of requests that are answered 500."""
    dropped: float = 0.0
    """The share of requests whose connection is closed without an answer."""
    malformed: float = 0.0
    """The share of requests that are answered 200 with JSON that is cut off."""
    stalled: float = 0.0
    """The share of requests that are answered 200 with half a body, and then silence until the client leaves."""
    patience: int = 3
    """How often at most the same request meets a fault of a share; after that it is answered."""
    seed: int = 0
    """Another seed draws other requests for the shares."""
    capacity: int | None = None
    """The most requests under way at once; further ones are answered 429, as by a server that is really overloaded."""
    down_after: int | None = None
    """After so many requests all are answered 503 for a while, once."""
    down_for: float = 1.0
    """The seconds for which all requests are answered 503, from the first of them on."""
    key: str | None = None
    """The only key that is let in; any other is answered 401 with a text that repeats it."""
    models: tuple[str, ...] = ("scripted",)
    """The ids of the models that there are; any other is answered 404."""
    refuse_stop: bool = False
    """Answer 400 to a request that sends stop, as some models that think first do."""
    window: int | None = None
    """The most words of a prompt; a longer one is answered 400 with the code context_length_exceeded."""
    filtered: str | None = None
    """A prompt that contains this text is answered 400 with the code content_filter."""
    thinks: bool = False
    """Write <think>...</think> before each reply."""

    def __post_init__(self) -> None:
        """Raise ConfigError for values that make no sense."""
        for name in ("slow", *DRAWN):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} is a share of the requests, from 0 to 1, not {getattr(self, name):g}")
        if (total := sum(getattr(self, name) for name in DRAWN)) > 1:
            raise ConfigError(f"{', '.join(DRAWN)} together are a share of the requests, at most 1, not {total:g}")
        for name in ("delay", "slowness", "retry_after", "down_for"):
            if not (isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise ConfigError(f"{name} is a number of at least 0, not {getattr(self, name):g}")
        for name, least in (("patience", 0), ("capacity", 0), ("down_after", 0), ("window", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ConfigError(f"{name} is a whole number of at least {least}, not {value}")
        if not self.models:
            raise ConfigError("models is empty; name at least one, e.g. scripted")

    def draw(self, digest: bytes, before: int) -> tuple[Drawn | None, bool]:
        """The fault of a request that was asked so often before, None for none, and whether its reply is slow."""
        if before >= self.patience:
            return None, False
        drawn = blake2b(b"%d %d " % (self.seed, before) + digest, digest_size=12).digest()
        # Six bytes: a float holds them exactly, so that a number below 1 stays below 1.
        place, slow = int.from_bytes(drawn[:6], "big") / 2**48, int.from_bytes(drawn[6:], "big") / 2**48 < self.slow
        for fault in DRAWN:
            place -= getattr(self, fault)
            if place < 0:
                return fault, slow
        return None, slow


@dataclass
class Stats:
    """What came and how it was answered, since the start or the last reset."""

    requests: int = 0
    """Requests for a reply, whatever became of them."""
    answered: int = 0
    """Good replies that were sent to their end."""
    tokens: int = 0
    """Words of the prompts and replies of all that was answered."""
    repeated: int = 0
    """Good replies to what had a good reply before: what a client pays twice for."""
    most_at_once: int = 0
    """The most requests that were under way at once."""
    faults: Counter[str] = field(default_factory=Counter)
    """How often each field of `Faults` made a reply slow or a request fail."""

    def reset(self) -> None:
        """Begin anew."""
        fresh = Stats()
        for each in fields(self):
            setattr(self, each.name, getattr(fresh, each.name))


def digest_of(body: dict[str, Any]) -> bytes:
    """What tells two requests apart: what their JSON says, however it is spaced."""
    # Much faster than to write JSON once more; its version 2 writes the same for the same in any Python.
    return blake2b(marshal.dumps(sorted(body.items()), 2), digest_size=16).digest()
