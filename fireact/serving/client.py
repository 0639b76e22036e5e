"""Talk to a server: OpenAI's route for completions with what vLLM adds to it, token ids in and out, and adapters."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fireact.errors import ConfigError, ContextError, ProviderError
from fireact.serving.lease import Lease

if TYPE_CHECKING:
    from aiohttp import ClientSession

_CONNECT = 10.0
"""Seconds after which a server on this machine that does not take the connection is gone."""
_TOO_LONG = re.compile(r"context length|context window|max_model_len|maximum model length", re.IGNORECASE)


class _Refused(Exception):
    """The server answered with an error; the text is its message."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(said)
        self.status = status


@dataclass
class Client:
    """Requests to the server of a lease, from any event loop."""

    lease: Lease
    _sessions: dict[asyncio.AbstractEventLoop, ClientSession] = field(default_factory=dict, init=False)

    async def complete(self, model: str, prompt: Sequence[int], **options: Any) -> dict[str, Any]:
        """Go on from token ids; return the answer, whose one choice has `token_ids`.

        Raises ProviderError for a server that is gone or refuses, ContextError for a prompt that is too long for it.
        """
        body = {"model": model, "prompt": list(prompt), "return_token_ids": True, **options}
        try:
            answer = await self._ask("POST", "/v1/completions", body)
        except _Refused as refusal:
            if refusal.status == 400 and _TOO_LONG.search(str(refusal)):
                raise ContextError(f"the server of {self.lease.name} refuses the request: {refusal}") from None
            if refusal.status >= 500:
                raise await self.lease.gone(f"failed: {refusal}") from None
            raise ProviderError(f"the server of {self.lease.name} refuses the request: {refusal}; "
                                "see its log for more") from None
        choices = answer.get("choices") or [{}]
        if choices[0].get("token_ids") is None:
            raise ProviderError(f"the server of {self.lease.name} answered without token ids, got "
                                f"{json.dumps(answer)[:100]!r}; it needs vLLM 0.11 or newer")
        return answer

    async def load_adapter(self, name: str, folder: Path) -> None:
        """Have an adapter served under a name; nothing is done where it is. Raises ConfigError, ProviderError."""
        if name in await self._models():
            return
        try:
            await self._ask("POST", "/v1/load_lora_adapter", {"lora_name": name, "lora_path": str(folder.absolute())})
        except _Refused as refusal:
            # Another process may have been faster.
            if name not in await self._models():
                raise ConfigError(f"vLLM cannot serve the adapter {folder}: {refusal}; choose "
                                  "model.engine=transformers for it") from None

    async def close(self) -> None:
        """Let go of the connections of the running event loop, and of the lease."""
        session = self._sessions.pop(asyncio.get_running_loop(), None)
        if session is not None:
            await session.close()
        self.lease.release()

    async def _models(self) -> set[str]:
        try:
            return {model["id"] for model in (await self._ask("GET", "/v1/models", None))["data"]}
        except _Refused as refusal:
            raise ProviderError(f"the server of {self.lease.name} does not tell its models: {refusal}") from None

    async def _ask(self, method: str, path: str, body: Any) -> dict[str, Any]:
        """Raises _Refused, ProviderError."""
        import aiohttp

        try:
            async with self._session().request(method, self.lease.state.url + path, json=body) as response:
                status, text = response.status, await response.text(errors="replace")
        except (aiohttp.ClientError, OSError, asyncio.TimeoutError) as error:
            raise await self.lease.gone(f"broke the connection off ({type(error).__name__})") from None
        answer = _json(text)
        if status >= 400:
            raise _Refused(status, _said(answer) or f"status {status}")
        return answer if isinstance(answer, dict) else {"said": text}

    def _session(self) -> ClientSession:
        """The connections of the running event loop: they cannot move to another."""
        loop = asyncio.get_running_loop()
        if loop not in self._sessions:
            import aiohttp

            # A reply may take as long as it takes, and how many there are at once is the caller's to say. A connection
            # that is kept may be one that the server is just closing.
            self._sessions = {loop: aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, force_close=True),
                timeout=aiohttp.ClientTimeout(None, sock_connect=_CONNECT))}
        return self._sessions[loop]


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _said(answer: Any) -> str:
    error = answer.get("error", answer) if isinstance(answer, dict) else None
    said = error.get("message") or error.get("detail") if isinstance(error, dict) else error
    return " ".join(str(said).split())[:400] if said else ""
