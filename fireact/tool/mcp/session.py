"""A connection to an MCP server, by the official package `mcp` (2.3 or later).

One task opens and closes it, as anyio's scopes want it; calls may come from any task of the same event loop.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any

from fireact.errors import ConfigError, ToolError, first_line
from fireact.keys import filled, hidden, secrets

if TYPE_CHECKING:
    from mcp import Client
    from mcp_types import CallToolResult, Tool

START = 60.0
"""Seconds within which a server is there: it may have to be installed first, as npx does."""


class Gone(Exception):
    """There is no connection, or no longer; the text says why, where that is known."""


@dataclass(frozen=True)
class Server:
    """Where a server is, or how it is started."""

    command: Sequence[str] = ()
    url: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def hidden(self, text: str) -> str:
        """A text without the secrets that the server was given."""
        for secret in secrets(self.env, self.headers).values():
            text = hidden(text, secret)
        return text

    async def enter(self, stack: AsyncExitStack, log: IO[str]) -> "Client":
        """Connect. Raises ConfigError, OSError, and what `mcp` does, in groups."""
        try:
            from mcp import Client, StdioServerParameters
            from mcp.client.stdio import stdio_client
            from mcp.client.streamable_http import streamable_http_client
        except ImportError as error:
            raise ConfigError(f"tool=mcp needs the package mcp, 2.3 or later ({error}); run: pip install -e '.[mcp]'"
                              ) from None
        from httpx2 import AsyncClient, Timeout

        # What the package logs is told by errors too; without a handler it would be printed.
        logging.getLogger("mcp").addHandler(logging.NullHandler())
        if self.url is None:
            program, *rest = self.command
            given = StdioServerParameters(command=program, args=rest, env=filled(self.env))
            return await stack.enter_async_context(Client(stdio_client(given, errlog=log)))  # pyright: ignore
        http = await stack.enter_async_context(AsyncClient(headers=filled(self.headers),
                                                           timeout=Timeout(START, read=None)))
        return await stack.enter_async_context(Client(streamable_http_client(self.url, http_client=http)))


class Session:
    """One connection."""

    def __init__(self, server: Server) -> None:
        self._server, self._client = server, None
        self._there, self._end = asyncio.Event(), asyncio.Event()
        self._log = TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - closed by `close`
        self._task = asyncio.create_task(self._hold())

    async def _hold(self) -> None:
        async with AsyncExitStack() as stack:
            self._client = await self._server.enter(stack, self._log)
            self._there.set()
            await self._end.wait()

    async def opened(self) -> "Session":
        """Wait until the server is there. Raises Gone, ConfigError."""
        there = asyncio.create_task(self._there.wait())
        try:
            await asyncio.wait({self._task, there}, timeout=START, return_when=asyncio.FIRST_COMPLETED)
            if self._there.is_set():
                return self
            failure = _first(self._task.exception() if self._task.done() and not self._task.cancelled() else None)
            raise failure if isinstance(failure, ConfigError) else Gone(self._why(failure))
        finally:
            there.cancel()
            if not self._there.is_set():
                await self.close()

    @property
    def gone(self) -> bool:
        """Whether it is closed."""
        return self._task.done()

    async def tools(self) -> "list[Tool]":
        """What the server has. Raises Gone, ToolError."""
        found, cursor = [], None
        while True:
            page = await self._answer(self._there_client.list_tools(cursor=cursor), START)
            found += page.tools
            cursor = page.next_cursor
            if not cursor:
                return found

    async def call(self, name: str, arguments: dict[str, Any], timeout: float) -> "CallToolResult":
        """Call a tool. Raises Gone; ToolError for what the server refuses or does not do within `timeout` seconds."""
        return await self._answer(self._there_client.call_tool(name, arguments), timeout)

    @property
    def _there_client(self) -> "Client":
        assert self._client is not None
        return self._client

    async def _answer(self, work: Any, timeout: float) -> Any:
        from mcp import MCPError
        from mcp.client import InputRequiredRoundsExceededError
        from mcp_types import CONNECTION_CLOSED

        try:
            return await asyncio.wait_for(work, timeout)
        except asyncio.TimeoutError:
            raise ToolError(f"the server did not answer within {timeout:g} seconds; ask for less") from None
        except MCPError as error:
            if error.code == CONNECTION_CLOSED and not await self._lives(timeout):
                raise Gone(self._why(error)) from None
            raise ToolError(self._server.hidden(f"the server refuses this: {first_line(error)}")) from None
        except (InputRequiredRoundsExceededError, RuntimeError, ValueError) as error:
            # What the package says of an answer that does not fit its own schema.
            raise ToolError(self._server.hidden(f"the server's answer cannot be read: {first_line(error)[:200]}")
                            ) from None

    async def _lives(self, timeout: float) -> bool:
        """Whether the server answers at all: it may use the code of a closed connection for failures of its own."""
        from mcp import MCPError
        from mcp_types import CONNECTION_CLOSED, EmptyResult, PingRequest

        try:
            await asyncio.wait_for(self._there_client.session.send_request(PingRequest(), EmptyResult), timeout)
        except MCPError as error:
            return error.code != CONNECTION_CLOSED
        except (asyncio.TimeoutError, RuntimeError, ValueError):
            return False
        return True

    def _why(self, failure: BaseException | None) -> str:
        """Why there is no connection: the last line that the server wrote, or else what went wrong."""
        lines = []
        if not self._log.closed:
            self._log.seek(0)
            lines = [line.strip() for line in self._log.read()[-10_000:].splitlines() if line.strip()]
        told = lines[-1] if lines else first_line(failure) if failure else f"no answer within {START:g} seconds"
        return self._server.hidden(told)[:300]

    async def close(self) -> None:
        """Close it, and end a server that was started; that takes some seconds at most."""
        self._end.set()
        if not self._there.is_set():
            self._task.cancel()
        await asyncio.wait({self._task})
        if not self._task.cancelled():
            self._task.exception()  # Looked at: of a connection that broke, closing fails too.
        self._log.close()


def _first(failure: BaseException | None) -> BaseException | None:
    """The first of a group of failures."""
    while inner := getattr(failure, "exceptions", None):
        failure = inner[0]
    return failure
