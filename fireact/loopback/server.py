"""The endpoint itself: what it answers to each request, and in which of the ways of `Faults` it fails."""

import asyncio
import json
import os
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from aiohttp import web

from fireact.errors import ConfigError
from fireact.loopback.faults import Drawn, Faults, Stats, digest_of
from fireact.loopback.script import Prompt, called, read_chat, read_completion, reply

_JSON = {"Content-Type": "application/json"}
_GOOD = {**_JSON, "x-ratelimit-limit-requests": "10000", "x-ratelimit-remaining-requests": "9999"}
_ROUTES = {"/v1/chat/completions": read_chat, "/v1/completions": read_completion}


@dataclass
class Served:
    """A server as its user sees it, who may read and change all of this while it runs."""

    faults: Faults = field(default_factory=Faults)
    rounds: int = 3
    """The turns of the model up to its answer."""
    url: str = ""
    """The base URL for a client."""
    stats: Stats = field(default_factory=Stats)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    """The JSON of each request for a reply, in the order in which they came."""
    keeps_bodies: bool = True


class Refused(Exception):
    """A request is answered with an error. `fault` is the field of `Faults` that is the reason, if one is."""

    def __init__(self, status: int, message: str, *, fault: str | None = None, code: str | None = None,
                 kind: str = "invalid_request_error", param: str | None = None, retry_after: float | None = None):
        super().__init__(message)
        self.fault = fault
        self._status, self._retry_after = status, retry_after
        self._error = {"message": message, "type": kind, "param": param, "code": code}

    def response(self) -> web.Response:
        """The answer, in OpenAI's form."""
        told = {} if self._retry_after is None else {"Retry-After": f"{self._retry_after:g}"}
        return web.Response(body=json.dumps({"error": self._error}).encode(), status=self._status,
                            headers={**_JSON, **told})


class Endpoint:
    """Answers the requests of one server, all in one event loop."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._busy = 0
        # Examples and questions come again with every turn.
        self._words = lru_cache(4096)(lambda text: len(text.split()))
        self._forget()

    def _forget(self) -> None:
        self._asked: Counter[bytes] = Counter()
        self._paid: set[bytes] = set()
        self._down_since: float | None = None

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        path, stats = request.path, self._served.stats
        try:
            if request.method == "POST" and path in _ROUTES:
                stats.requests += 1
                return await self._completion(request)
            if request.method == "GET" and path == "/v1/models":
                self._let_in(request)
                models = [{"id": model, "object": "model", "created": 0, "owned_by": "loopback"}
                          for model in self._served.faults.models]
                return web.json_response({"object": "list", "data": models})
            if request.method == "POST" and path == "/stats/reset":
                stats.reset()
                self._forget()
            elif not (request.method == "GET" and path == "/stats"):
                raise Refused(404, f"Unknown request URL: {request.method} {path}.", code="unknown_url")
            return web.json_response(vars(stats))
        except Refused as refused:
            if refused.fault:
                stats.faults[refused.fault] += 1
            return refused.response()

    async def _completion(self, request: web.BaseRequest) -> web.StreamResponse:
        faults, stats = self._served.faults, self._served.stats
        admitted = faults.capacity is None or self._busy < faults.capacity
        self._busy += admitted
        stats.most_at_once = max(stats.most_at_once, self._busy)
        try:
            body = _body(await request.content.read())
            if self._served.keeps_bodies:
                self._served.bodies.append(body)
            self._let_in(request)
            if not admitted:
                raise Refused(429, f"There are {faults.capacity} requests under way, and no room for more.",
                              fault="capacity", code="rate_limit_exceeded", kind="requests",
                              retry_after=faults.retry_after)
            prompt = _ROUTES[request.path](body)
            if prompt is None:
                raise Refused(400, "The request has no messages, or no prompt that is a text.")
            words = sum(map(self._words, prompt.texts))
            _check(faults, body, prompt, words)
            return await self._reply(request, body, prompt, words)
        finally:
            self._busy -= admitted

    def _let_in(self, request: web.BaseRequest) -> None:
        """Raise Refused while the server is down, and for a wrong key."""
        faults = self._served.faults
        if faults.down_after is not None and self._served.stats.requests > faults.down_after:
            now = time.monotonic()
            self._down_since = now if self._down_since is None else self._down_since
            if now < self._down_since + faults.down_for:
                raise Refused(503, "The server is down for a while.", fault="down_after", kind="server_error")
        if faults.key is not None:
            given = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
            if given != faults.key:
                raise Refused(401, f"Incorrect API key provided: {given}.", fault="key", code="invalid_api_key")

    async def _reply(self, request: web.BaseRequest, body: dict[str, Any], prompt: Prompt,
                     words: int) -> web.StreamResponse:
        served, digest = self._served, digest_of(body)
        fault, slow = served.faults.draw(digest, self._asked[digest])
        self._asked[digest] += 1
        text = reply(prompt, served.rounds, served.faults.thinks, body.get("stop"))
        said = len(text.split())
        payload = _payload(request.path, body, text, words, said, served.stats.requests)
        if fault:
            served.stats.faults[fault] += 1
            return await _fail(request, fault, served.faults, payload)
        if slow:
            served.stats.faults["slow"] += 1
        if seconds := served.faults.delay * (served.faults.slowness if slow else 1):
            await asyncio.sleep(seconds)
        return await self._send(request, payload, digest, words + said)

    async def _send(self, request: web.BaseRequest, payload: bytes, digest: bytes, tokens: int) -> web.StreamResponse:
        stats, response = self._served.stats, web.Response(body=payload, headers=_GOOD)
        repeated = digest in self._paid

        def count(sign: int) -> None:
            stats.answered += sign
            stats.tokens += sign * tokens
            stats.repeated += sign * repeated

        # Counted before it is sent, so that a client that has its reply finds it counted.
        count(1)
        self._paid.add(digest)
        sent = False
        try:
            await response.prepare(request)
            await response.write_eof()
            sent = True
        except ConnectionError:
            pass
        finally:
            if not sent:
                count(-1)
                if not repeated:
                    self._paid.discard(digest)
        return response


def _body(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Refused(400, "The body of the request is no JSON object.")
    return body


def _check(faults: Faults, body: dict[str, Any], prompt: Prompt, words: int) -> None:
    """Raise Refused for what no repetition mends."""
    if (model := body.get("model")) not in faults.models:
        raise Refused(404, f"The model `{model}` does not exist or you do not have access to it.", fault="models",
                      code="model_not_found")
    if faults.refuse_stop and body.get("stop") is not None:
        raise Refused(400, "Unsupported parameter: 'stop' is not supported with this model.", fault="refuse_stop",
                      code="unsupported_parameter", param="stop")
    if faults.window is not None and words > faults.window:
        raise Refused(400, f"This model's maximum context length is {faults.window} tokens. However, your messages "
                      f"resulted in {words} tokens. Please reduce the length of the messages.", fault="window",
                      code="context_length_exceeded", param="messages")
    if faults.filtered is not None and any(faults.filtered in text for text in prompt.texts):
        raise Refused(400, "The response was filtered due to the prompt triggering the content management policy.",
                      fault="filtered", code="content_filter", param="prompt")


def _payload(path: str, body: dict[str, Any], text: str, words: int, said: int, number: int) -> bytes:
    chat = path == "/v1/chat/completions"
    message = {"role": "assistant", **called(text, body.get("tools"))}
    choice = {"message": message} if chat else {"text": text}
    return json.dumps({
        "id": f"{'chatcmpl' if chat else 'cmpl'}-{number}",
        "object": "chat.completion" if chat else "text_completion",
        "created": int(time.time()),
        "model": body["model"],
        "choices": [{"index": 0, **choice, "logprobs": None,
                     "finish_reason": "tool_calls" if "tool_calls" in message else "stop"}],
        "usage": {"prompt_tokens": words, "completion_tokens": said, "total_tokens": words + said},
    }).encode()


async def _fail(request: web.BaseRequest, fault: Drawn, faults: Faults, payload: bytes) -> web.StreamResponse:
    """Answer as a fault does, or not at all. `payload` is the good reply."""
    half = payload[:len(payload) // 2]
    if fault == "rate_limited":
        return Refused(429, "Rate limit reached for requests.", code="rate_limit_exceeded", kind="requests",
                       retry_after=faults.retry_after).response()
    if fault == "error":
        return Refused(500, "The server had an error while processing your request.", kind="server_error").response()
    if fault == "malformed":
        return web.Response(body=half, headers=_GOOD)
    if fault == "dropped":
        if request.transport is not None:
            request.transport.close()
        return web.Response()
    response = web.StreamResponse(headers={**_GOOD, "Content-Length": str(len(payload))})
    await response.prepare(request)
    await response.write(half)
    # Ends when the client leaves, or the server: either cancels this.
    await asyncio.Event().wait()
    return response


@asynccontextmanager
async def running(served: Served, port: int) -> AsyncIterator[None]:
    """Serve on the loopback while the block runs; `served.url` says where. Port 0 is any that is free.

    Raises ConfigError for a port that cannot be had.
    """
    if not 0 <= port <= 65535:
        raise ConfigError(f"there is no port {port}; choose one from 1 to 65535, e.g. --port 8000")
    server = web.Server(Endpoint(served).handle, handler_cancellation=True, access_log=None)
    runner = web.ServerRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, backlog=4096)
    try:
        try:
            await site.start()
        except OSError as error:
            why = os.strerror(error.errno or 0)
            raise ConfigError(f"port {port} cannot be had: {why}; choose another with --port") from None
        served.url = f"http://127.0.0.1:{site.port}/v1"
        yield
    finally:
        await runner.cleanup()
