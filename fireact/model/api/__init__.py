"""Any endpoint that speaks OpenAI's chat or completions API: OpenAI, Azure, Together, OpenRouter, vLLM, Ollama, ...

    python main.py model@teacher=api teacher.model=gpt-4.1            # key from OPENAI_API_KEY
    python main.py model@teacher=api teacher.base_url=http://127.0.0.1:8000/v1 teacher.model=my-model
    python main.py model@teacher=api teacher.model=my-model 'teacher.base_url=[http://a:8000/v1,http://b:8000/v1]'

access.py checks what a user writes, request.py writes what is sent, reply.py reads what comes, transport.py sends, and
calls.py gets a request through.
"""

import os
import re
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, Field, ValidationError

from fireact import keys, prices
from fireact.errors import ConfigError
from fireact.keys import KeyVariable
from fireact.meter import Meter
from fireact.model.api import access
from fireact.model.api.calls import Calls
from fireact.model.api.request import Dialect, Route
from fireact.model.api.transport import Transport
from fireact.options import REPLY, RUNTIME, Count, NotNegative, Positive
from fireact.pacing import Lane, Pacer
from fireact.requests import Ask
from fireact.types import Completion

_OPENAI = "https://api.openai.com/v1"


class _Tuned(BaseModel):
    """What is read of the file in which train=hosted leaves its model's id."""

    model: str


@dataclass(kw_only=True)
class Api:
    """A model behind one or more addresses."""

    trained_by: ClassVar[str] = "hosted"
    """How it can be fine-tuned."""

    model: str
    """The model's id at the endpoint, e.g. gpt-4.1."""
    adapter: Path | None = None
    """The folder of a model that train=hosted fine-tuned: the id in its model.json is asked in place of `model`."""
    base_url: Annotated[str | list[str] | None, AfterValidator(access.addresses)] = None
    """None is OpenAI's own. Of several addresses, which all must serve the same model, the least busy is asked."""
    family: str | None = None
    """What counts in keys, of the store and of the tape, in place of the address: the same name for servers that serve
    the same weights makes their answers one. None: the address without its /v1, of several the first in order."""
    route: Route = "chat"
    """completions: the older API that continues a text, for base models; the conversation is written as plain text."""
    key_env: Annotated[KeyVariable | None, RUNTIME] = None
    """The environment variable that holds the key, which itself is never written anywhere. None: OPENAI_API_KEY for
    OpenAI's own endpoint, and no key for any other, so that none is sent where it does not belong."""
    headers: Annotated[dict[str, str], AfterValidator(keys.no_secrets), RUNTIME] = field(default_factory=dict)
    """Sent with every request. A value $NAME is read from the environment, e.g. {api-key: $AZURE_OPENAI_API_KEY}."""
    query: Annotated[dict[str, str], AfterValidator(keys.no_secrets)] = field(default_factory=dict)
    """Sent behind every address, e.g. {api-version: 2025-04-01-preview} for Azure's older API. $NAME as above."""
    temperature: Annotated[NotNegative | None, REPLY] = 0.0
    """None: not sent, for models that refuse it."""
    reasoning_effort: Annotated[str | None, REPLY] = None
    """How long a model that thinks first may think, e.g. none, low; None: not sent."""
    max_tokens: Annotated[Count, REPLY] = 512
    """The longest reply, with what a model thinks before it."""
    options: Annotated[dict[str, Any], AfterValidator(access.free_fields), REPLY] = field(default_factory=dict)
    """More of the request's fields, as the endpoint calls them, e.g. {top_p: 0.9, chat_template_kwargs: {...}}."""
    price_in: Annotated[NotNegative | None, RUNTIME] = None
    """US dollars per million prompt tokens; None: the price that fireact/prices.py finds for the model at the endpoint.
    Where it finds none, the cost is unknown."""
    price_out: Annotated[NotNegative | None, RUNTIME] = None
    """US dollars per million completion tokens; None as for `price_in`."""
    price_cached: Annotated[NotNegative | None, RUNTIME] = None
    """US dollars per million prompt tokens that were read from the endpoint's cache; None: `price_in`, or what is found
    where that is None too."""
    tuned_price_in: Annotated[NotNegative | None, RUNTIME] = None
    """US dollars per million prompt tokens of a fine-tuned model, which has a price of its own."""
    tuned_price_out: Annotated[NotNegative | None, RUNTIME] = None
    """US dollars per million completion tokens of a fine-tuned model."""
    timeout: Annotated[Positive, RUNTIME] = 120.0
    """Seconds a request may take."""
    retries: Annotated[int, Field(ge=0), RUNTIME] = 5
    """Repetitions after a fault of one request: 500, silence, a dropped connection, a broken answer."""
    patience: Annotated[NotNegative, RUNTIME] = 600.0
    """Seconds for which an endpoint that is overloaded or down is waited for. One that has not answered yet is waited
    for no longer than 30."""
    requests_per_minute: Annotated[Positive | None, RUNTIME] = None
    """The most, of one process, after a burst of one second's worth; None: as many as the endpoint takes."""
    tokens_per_minute: Annotated[Positive | None, RUNTIME] = None
    """The most, of one process: prompt tokens, estimated from its length, and `max_tokens`."""
    hedge: Annotated[Annotated[float, Field(gt=1, allow_inf_nan=False)] | None, RUNTIME] = None
    """A reply that takes so many times as long as the median has so far is asked for a second time, and the first of
    the two counts. The other may be paid for too: the budget counts it at its highest price. None: never."""
    concurrency: Annotated[Count, RUNTIME] = 64
    """The most requests under way at once, at each address; a run gives its own `concurrency`."""
    meter: Annotated[Meter, RUNTIME] = field(default_factory=Meter)

    @classmethod
    def counted(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """See `store.identity`: where servers stand is told by `family` alone."""
        given = _OPENAI if options["base_url"] is None else options["base_url"]
        places = [given] if isinstance(given, str) else given
        place = min(re.sub(r"^\w+://|(/v1)?/*$", "", each).lower() for each in places)
        return {**options, "base_url": None, "family": options["family"] or place}

    @property
    def name(self) -> str:
        """How reports call this model: by the id that is asked, which for a fine-tuned one is its own."""
        return self._asked

    @property
    def seeded(self) -> bool:
        """Whether another seed may give another reply."""
        return self.temperature != 0

    @property
    def requests_at_once(self) -> int:
        """The most requests under way, over all addresses."""
        return self.concurrency * len(self._places)

    async def complete(self, ask: Ask) -> Completion:
        """See `protocols.Model`. Raises ConfigError for what no repetition can mend: key, model's id, address."""
        return await self._calls.complete(ask)

    async def close(self) -> None:
        """Let go of the connections, if there are any."""
        if "_calls" in vars(self):
            await self._calls.transport.close()

    @property
    def unpriced(self) -> str | None:
        """See `protocols.Paid`."""
        return None if self.price() else prices.unknown(self._asked, self._first, tuned=self.adapter is not None)

    def account(self) -> tuple[str, str]:
        """Return the first address and the key for it, both checked as far as can be. Raises ConfigError."""
        if not self._key and self._variable:
            raise ConfigError(f"model {self.model} needs a key: set the environment variable {self._variable}, "
                              "or base_url to an endpoint of your own")
        if not (self._key.isascii() and self._key.isprintable()):
            raise ConfigError(f"the key in ${self._variable} holds a line break or a letter that no key has; "
                              "set it anew")
        for place in self._places:
            access.check(place)
        return self._places[0], self._key or "none"

    def price(self) -> prices.Price | None:
        """What a call costs now: some prices change with the hour."""
        minute = int(time.time() // 60)
        if self._priced is None or self._priced[0] != minute:
            self._priced = minute, self._listed()
        return self._priced[1]

    _priced: tuple[int, prices.Price | None] | None = field(init=False, repr=False, default=None)

    def _listed(self) -> prices.Price | None:
        given = ((self.price_in, self.price_out, self.price_cached) if self.adapter is None else
                 (self.tuned_price_in, self.tuned_price_out, None))
        listed = prices.lookup(self._asked, self._first) if None in given[:2] else None
        return prices.set_by_hand(listed, *given)

    @cached_property
    def _calls(self) -> Calls:
        self.account()
        if self.unpriced:
            print(f"  {self.unpriced}", file=sys.stderr, flush=True)
        pacer = Pacer([Lane(place, self.concurrency) for place in self._places], self.requests_per_minute,
                      self.tokens_per_minute)
        # OpenAI's own newer models refuse the older name.
        limit = "max_completion_tokens" if self.base_url is None and self.route == "chat" else "max_tokens"
        return Calls(model=self._asked, options=self._options(), longest=self.max_tokens,
                     dialect=Dialect(self.route, limit), transport=self._transport(), pacer=pacer, meter=self.meter,
                     price=self.price, retries=self.retries, patience=self.patience, hedge=self.hedge,
                     seeded=self.seeded)

    def _transport(self) -> Transport:
        headers, secrets = keys.filled(self.headers), keys.secrets(self.headers, self.query)
        if self._variable and self._key:
            secrets = {self._variable: self._key, **secrets}
            if "authorization" not in map(str.lower, headers):
                headers["Authorization"] = f"Bearer {self._key}"
        return Transport(headers, keys.filled(self.query), secrets, self.timeout)

    @cached_property
    def _asked(self) -> str:
        """The id of the model that replies."""
        if self.adapter is None:
            return self.model
        path = self.adapter / "model.json"
        try:
            return _Tuned.model_validate_json(path.read_bytes()).model
        except (OSError, ValidationError):
            raise ConfigError(f"{path} is no file with the id of a fine-tuned model; set inputs.adapter to the folder "
                              "that train=hosted wrote") from None

    def _options(self) -> dict[str, Any]:
        named = {"temperature": self.temperature, "reasoning_effort": self.reasoning_effort}
        return {**{name: value for name, value in named.items() if value is not None}, **self.options}

    @property
    def _key(self) -> str:
        return os.environ.get(self._variable or "", "").strip()

    @property
    def _variable(self) -> str | None:
        return self.key_env or ("OPENAI_API_KEY" if self.base_url is None else None)

    @property
    def _places(self) -> list[str]:
        if isinstance(self.base_url, list):
            return self.base_url
        return [_OPENAI if self.base_url is None else self.base_url]

    @property
    def _first(self) -> str | None:
        return self.base_url[0] if isinstance(self.base_url, list) else self.base_url
