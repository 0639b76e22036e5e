"""A server on the loopback that answers GET requests as a test says, and keeps what it was asked."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass
class Reply:
    """One answer. A body that is no text and no bytes is sent as JSON; with `drop` the connection ends without one."""

    body: Any = field(default_factory=dict)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    drop: bool = False
    after: threading.Event | None = None
    """Wait for this first."""
    drip: bool = False
    """Send the body again and again, without end, with a short pause between."""


@dataclass
class Loopback:
    """What a test sees of the server."""

    url: str
    asked: list[dict[str, str]] = field(default_factory=list)
    """The parameters of each request, in the order in which they came."""
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    """As they came, without the parameters."""


@contextmanager
def serve(answer: Callable[[Mapping[str, str]], Reply], path: str = "/search.json") -> Iterator[Loopback]:
    """Serve until the block ends; `answer` is told the parameters of each request."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
            this.asked.append(asked)
            this.headers.append(dict(self.headers))
            this.paths.append(self.path.partition("?")[0])
            reply = answer(asked)
            if reply.after:
                reply.after.wait(20)
            if reply.drop:
                self.close_connection = True
                return
            body = (reply.body if isinstance(reply.body, bytes) else reply.body.encode() if isinstance(reply.body, str)
                    else json.dumps(reply.body).encode())
            self.send_response(reply.status)
            for name, value in {"Content-Type": "application/json; charset=utf-8", **reply.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body) if not reply.drip else 10**12))
            self.end_headers()
            self.wfile.write(body)
            with suppress(OSError):
                while reply.drip:
                    self.wfile.write(body)
                    time.sleep(0.01)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    this = Loopback(f"http://127.0.0.1:{server.server_port}{path}")
    with running(server):
        yield this


@contextmanager
def running(server: HTTPServer) -> Iterator[None]:
    """Let a server serve in a thread, and end both."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def script(*replies: Reply) -> Callable[[Mapping[str, str]], Reply]:
    """Answer with `replies` in their order, the last one again and again."""
    left = list(replies)
    return lambda asked: left.pop(0) if len(left) > 1 else left[0]
