"""Tools of an MCP server (modelcontextprotocol.io), each allowed by its name.

    python main.py tool=mcp 'tool.command=[npx, -y, "@modelcontextprotocol/server-everything"]' 'tool.allow=[echo]'
    python main.py tool=toolbox '+tool@tool.tools.wiki=mcp' tool.tools.wiki.url=http://127.0.0.1:8000/mcp \
        'tool.tools.wiki.allow=[read_page]'

What the server says of its tools is asked once and kept in `home`, for a run's keys are made of it before any work. A
server that says something else later is refused. Needs the extra: pip install -e '.[mcp]'
"""

import asyncio
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import AfterValidator

from fireact.errors import ConfigError, DataError, ToolError, ToolUnavailable, suggest
from fireact.jsonl import write_atomic
from fireact.keys import no_secrets
from fireact.options import RUNTIME, Count, Positive
from fireact.requests import Act
from fireact.schemas import Refs, check_schema, plain, resolved
from fireact.store import fingerprint, key
from fireact.tool.mcp.session import Gone, Server, Session
from fireact.toolspec import ToolSpec, action_name, shortened
from fireact.types import Observation
from fireact.web import is_address

if TYPE_CHECKING:
    from mcp_types import CallToolResult, Tool


@dataclass(kw_only=True)
class Mcp:
    """Calls tools of one server."""

    elsewhere: ClassVar[str] = "an MCP server, which a capsule neither has nor starts"
    """What it needs that goes into no capsule."""

    home: Annotated[Path, RUNTIME]
    """Where it is kept what the server says of its tools."""
    command: tuple[str, ...] = ()
    """How the server is started, with its arguments; it is spoken to over stdin and stdout. Of arguments that are files
    the content counts."""
    url: str | None = None
    """Or else where it is reached over HTTP (streamable)."""
    allow: tuple[str, ...] = ()
    """The tools that may be called, as the server names them."""
    env: Annotated[dict[str, str], AfterValidator(no_secrets)] = field(default_factory=dict)
    """Environment variables of a server that is started, which has no others but PATH, HOME and the like. A value $NAME
    is read from this environment, e.g. {GITHUB_TOKEN: $GITHUB_TOKEN}."""
    headers: Annotated[dict[str, str], AfterValidator(no_secrets), RUNTIME] = field(default_factory=dict)
    """Sent with every request to `url`. $NAME as above, e.g. {Authorization: $MY_AUTHORIZATION}."""
    timeout: Positive = 30.0
    """Seconds a call may take; one that takes longer is told to the model."""
    longest: Count = 2000
    """The most characters shown of an answer."""

    _opening: "asyncio.Task[Session] | None" = field(init=False, repr=False, compare=False, default=None)

    @classmethod
    def counted(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """See `store.identity`."""
        program, *rest = options["command"] or [""]
        return {**options, "command": [program, *(fingerprint(Path(part)) if Path(part).is_file() else part
                                                  for part in rest)]}

    @property
    def actions(self) -> tuple[str, ...]:
        """What the model calls the tools. Raises ConfigError where the server cannot be asked, or has not all."""
        return tuple(self._allowed)

    @cached_property
    def specs(self) -> tuple[ToolSpec, ...]:
        """What they take."""
        return tuple(_spec(name, self._listed[name]) for name in self._allowed.values())

    async def __call__(self, act: Act) -> Observation:
        """Call a tool. A server that ends is started once more.

        Raises ToolError for what the server refuses; ToolUnavailable where it cannot be reached any more; ConfigError
        where it cannot be started at all, or says something else of its tools than before.
        """
        spec = next(spec for spec in self.specs if spec.name == act.tool)
        arguments, again = spec.arguments(act.argument), False
        while True:
            session = await self._session(again)
            try:
                result = await session.call(self._allowed[act.tool], arguments, self.timeout)
            except Gone as gone:
                await session.close()
                if again:
                    raise ToolError(f"the server ended at this call, and again when it had been restarted ({gone}); "
                                    "call it otherwise") from None
                again = True
            else:
                return Observation(self._told(result))

    async def close(self) -> None:
        """Close the connection, and end a server that was started."""
        opening, self._opening = self._opening, None
        if opening is None or opening.get_loop() is not asyncio.get_running_loop():
            return
        if not opening.done():
            opening.cancel()
        await asyncio.wait({opening})
        if not opening.cancelled() and opening.exception() is None:
            await opening.result().close()

    async def _session(self, again: bool) -> Session:
        """The connection, opened by the first who wants it. Raises ToolUnavailable, ConfigError."""
        opening, loop = self._opening, asyncio.get_running_loop()
        if opening is None or opening.get_loop() is not loop or (opening.done() and not _is_open(opening)):
            opening = self._opening = loop.create_task(self._open())
        try:
            return await asyncio.shield(opening)
        except Gone as gone:
            if again or self.url is not None:
                raise ToolUnavailable(f"{self._name} cannot be reached: {gone}; start the same command again later to "
                                      "go on") from None
            raise ConfigError(self._not_started(gone)) from None

    async def _open(self) -> Session:
        session = await Session(self._server).opened()
        try:
            now = _listing(await session.tools())
            for name in self._allowed.values():
                if now.get(name) != self._listed[name]:
                    raise ConfigError(f"{self._name} says something else of its tool {name!r} than when it was first "
                                      f"asked; delete {self._kept} to play with what it says now")
        except BaseException:
            await session.close()
            raise
        return session

    @cached_property
    def _server(self) -> Server:
        if bool(self.command) == (self.url is not None):
            raise ConfigError("the mcp tool needs one server: command=[...], which starts it, or url=http://..., where "
                              "it is")
        if self.url is not None and (not is_address(self.url) or "@" in self.url.partition("://")[2].partition("/")[0]):
            raise ConfigError(f"url={self.url.rpartition('@')[2]} is no address without a password; write e.g. "
                              "http://127.0.0.1:8000/mcp, and send secrets as headers")
        return Server(self.command, self.url, self.env, self.headers)

    @property
    def _name(self) -> str:
        """How sentences call the server."""
        return f"the MCP server {self.url or ' '.join(self.command)[:100]}"

    def _not_started(self, gone: Gone) -> str:
        what = "check that it runs, and url" if self.url else "check command and env"
        return f"{self._name} cannot be {'reached' if self.url else 'started'}: {gone}; {what}"

    @cached_property
    def _kept(self) -> Path:
        server = self._server
        return self.home / f"mcp-{key(command=server.command, url=server.url, env=server.env)}.json"

    @cached_property
    def _listed(self) -> dict[str, dict[str, Any]]:
        """What the server said of its tools when it was asked for the first time, by their names."""
        server = self._server
        if not self._kept.exists():
            # In a thread, for an event loop of its own: keys are made within others too.
            with ThreadPoolExecutor(1) as threads:
                try:
                    found = threads.submit(asyncio.run, _asked(server)).result()
                except (Gone, ToolError) as failure:
                    raise ConfigError(self._not_started(Gone(str(failure)))) from None
            self.home.mkdir(parents=True, exist_ok=True)
            write_atomic(self._kept, json.dumps(found, indent=1, ensure_ascii=False))
        try:
            return _checked(json.loads(self._kept.read_text(encoding="utf-8")))
        except (OSError, ValueError, RecursionError) as error:
            raise DataError(f"{self._kept} cannot be read ({error}); delete it, and the server is asked anew") from None

    @cached_property
    def _allowed(self) -> dict[str, str]:
        """The server's names of the tools that may be called, by their actions."""
        if not self.allow:
            raise ConfigError(f"the mcp tool may call nothing; allow tools of {self._name}: "
                              f"allow=[{', '.join(list(self._listed)[:20])}]")
        found: dict[str, str] = {}
        for name in self.allow:
            if name not in self._listed:
                raise ConfigError(f"allow names {name!r}, which {self._name} does not have"
                                  f"{suggest(name, self._listed)}; where it is new, delete {self._kept}")
            if action_name(name) in found:
                raise ConfigError(f"allow names two tools that are both called {action_name(name)}; take one out")
            found[action_name(name)] = name
        return found

    def _told(self, result: "CallToolResult") -> str:
        """What a call brought, as a model sees it. Raises ToolError for what the server says is an error."""
        parts = [getattr(part, "text", None) or f"[{part.type}]" for part in result.content]
        if not parts and result.structured_content is not None:
            parts = [json.dumps(result.structured_content, ensure_ascii=False)]
        text = shortened(self._server.hidden("\n".join(parts).strip()), self.longest)
        if result.is_error:
            raise ToolError(text)
        return text


def _is_open(opening: "asyncio.Task[Session]") -> bool:
    return not opening.cancelled() and opening.exception() is None and not opening.result().gone


async def _asked(server: Server) -> dict[str, dict[str, Any]]:
    session = await Session(server).opened()
    try:
        return _listing(await session.tools())
    finally:
        await session.close()


def _listing(tools: "list[Tool]") -> dict[str, dict[str, Any]]:
    return {tool.name: {"description": tool.description or tool.title or "", "parameters": tool.input_schema}
            for tool in tools}


def _checked(listing: Any) -> dict[str, dict[str, Any]]:
    """What was kept of a listing. Raises ValueError where it is none."""
    if not isinstance(listing, dict) or not all(
            isinstance(told, dict) and isinstance(told.get("description"), str)
            and isinstance(told.get("parameters"), dict) for told in listing.values()):
        raise ValueError("it holds no descriptions and parameters of tools by their names")
    return listing


def _spec(name: str, told: Mapping[str, Any]) -> ToolSpec:
    """A tool's spec. Raises ConfigError for a schema that is broken, refers elsewhere or holds itself."""
    where = f"the MCP tool {name!r}"
    whole = {"properties": {}, **told["parameters"]}
    schema = {part: value for part, value in plain(resolved(whole, Refs(whole, where))).items() if part != "$defs"}
    check_schema(schema, where)
    return ToolSpec(action_name(name), " ".join(told["description"].split())[:300], schema)
