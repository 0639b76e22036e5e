"""Any HTTP API that an OpenAPI 3 document describes: its operations that only read, allowed one by one.

    python main.py tool=openapi tool.document=weather.yaml 'tool.allow=[getForecast]'
    python main.py tool=toolbox '+tool@tool.tools.weather=openapi' tool.tools.weather.document=weather.yaml \
        'tool.tools.weather.allow=[getForecast]' '+tool.tools.weather.headers={X-Api-Key: $WEATHER_KEY}'

An operation is an action of its operationId's name, getForecast as get_forecast[{"city": "Paris", "days": 3}], with its
summary as description and its parameters' schemas. What it answered is kept and never asked for again. Arguments are
checked, but for patterns, and encoded; none can change the host or leave the path, and redirects are not followed.
"""

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from fireact.database import Journal
from fireact.errors import ConfigError
from fireact.keys import no_secrets
from fireact.options import CONTENT, RUNTIME, Count, Positive
from fireact.requests import Act
from fireact.tool.openapi.document import Document, Operation
from fireact.toolspec import ToolSpec, shortened
from fireact.types import Observation
from fireact.web import Web, is_address


@dataclass(kw_only=True)
class OpenAPI:
    """Calls operations of an API."""

    home: Annotated[Path, RUNTIME]
    """Where answers are kept, unless `cache` says otherwise."""
    document: Annotated[Path | None, CONTENT] = None
    """The OpenAPI document, a file in JSON or YAML."""
    allow: tuple[str, ...] = ()
    """The operationIds that may be called; of an operation without one e.g. 'GET /cities/{name}'."""
    base_url: str | None = None
    """Where the API is; None: the document's first server."""
    headers: Annotated[dict[str, str], AfterValidator(no_secrets), RUNTIME] = field(default_factory=dict)
    """Sent with every request; they cannot change what is answered. A value $NAME is read from the environment, e.g.
    {X-Api-Key: $WEATHER_KEY}."""
    longest: Count = 2000
    """The most characters shown of an answer."""
    cache: Annotated[Path | None, RUNTIME] = None
    """The file of kept answers, which runs may share; None: web.sqlite in `home`."""
    journal: Annotated[Journal, RUNTIME] = "wal"
    """How that file is written, see `database.Journal`; a run gives its own `journal`."""
    timeout: Annotated[Positive, RUNTIME] = 30.0
    """Seconds a call may take, and each of its repetitions."""
    retries: Annotated[int, Field(ge=0), RUNTIME] = 4
    """Repetitions after a passing fault (429, 5xx, a dropped connection), with back-off."""
    connections: Annotated[Count, RUNTIME] = 4
    """Calls under way at once."""

    @property
    def actions(self) -> tuple[str, ...]:
        """What the model calls the operations. Raises ConfigError for a broken document or an unknown operation."""
        return tuple(self._operations)

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        """What they take."""
        return tuple(operation.spec for operation in self._operations.values())

    @property
    def stateless(self) -> tuple[str, ...]:
        """All of them are answered alike in every episode."""
        return self.actions

    async def __call__(self, act: Act) -> Observation:
        """Call an operation. Raises what protocols.Tool names; what the API refuses, such as 404, is a ToolError."""
        operation = self._operations[act.tool]
        path, query = operation.request(operation.spec.arguments(act.argument))
        return Observation(shortened(compact(await self._web.text(query, path)), self.longest))

    async def close(self) -> None:
        """Let go of the connections, if there are any."""
        if "_web" in vars(self):
            await self._web.close()

    @cached_property
    def _document(self) -> Document:
        if self.document is None:
            raise ConfigError("the openapi tool has no API; name its document with document=path/to/openapi.yaml, and "
                              "allow=[...] what may be called")
        return Document.read(self.document)

    @cached_property
    def _operations(self) -> dict[str, Operation]:
        found: dict[str, Operation] = {}
        _need_address(self._address, f"the first server of {self.document}" if self.base_url is None else "base_url")
        headers = {name.lower() for name in self.headers}
        for operation in self._document.operations(self.allow, headers, self.base_url is not None):
            if operation.spec.name in found:
                raise ConfigError(f"allow names two operations that are both called {operation.spec.name}; take one "
                                  "out")
            found[operation.spec.name] = operation
        if not found:
            raise ConfigError(f"the openapi tool may call nothing; allow operations of {self.document}: "
                              f"allow=[{', '.join(self._document.readable[:20])}]")
        return found

    @cached_property
    def _address(self) -> str:
        """Where the API is, without a / at its end. Raises ConfigError."""
        return (self._document.server if self.base_url is None else self.base_url).rstrip("/")

    @cached_property
    def _web(self) -> Web:
        return Web(name=self._document.title, url=self._address, cache=self.cache or self.home / "web.sqlite",
                   judge=lambda status, answer: None, journal=self.journal, headers=self.headers, texts=True,
                   timeout=self.timeout, retries=self.retries, connections=self.connections)


def _need_address(place: str, named: str) -> None:
    """Refuse an address to which no paths can be added. Raises ConfigError."""
    if urlsplit(place).username is not None:
        raise ConfigError(f"{named} holds a password, which would be saved; leave out what is before the @, and send "
                          "it as headers: {Authorization: $MY_AUTHORIZATION}")
    if not is_address(place) or urlsplit(place).query or urlsplit(place).fragment:
        raise ConfigError(f"{named}={place} is no address to which paths can be added; write e.g. "
                          "https://example.org/api")


def compact(answer: str) -> str:
    """An answer as a model sees it: JSON without needless space, any other text as it is."""
    try:
        body: Any = json.loads(answer)
        return body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    except (ValueError, RecursionError):
        return answer.strip()
