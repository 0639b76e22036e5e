"""A server on the loopback that speaks OpenAI's /files, /fine_tuning/jobs and /chat/completions, and keeps count."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.loopback import running

Answer = tuple[int, Any]
"""A status, and what is sent as JSON; a text is sent as HTML."""
RUN: tuple[str, ...] = ("validating_files", "queued", "running", "running", "succeeded")
"""What a job is at each look, the last for ever."""


@dataclass
class FineTuner:
    """The state of the server, and what tests want of it."""

    url: str = ""
    key: str | None = None
    """If set, all other keys are refused."""
    models: tuple[str, ...] = ("gpt-x",)
    """Those that it fine-tunes."""
    states: tuple[str, ...] = RUN
    error: dict[str, Any] | None = None
    """Told of a failed job."""
    file_states: tuple[str, ...] = ("processed",)
    keeps_metadata: bool = True
    page: int = 2
    """How many items a page of a list has at most."""
    refusals: dict[str, list[Answer]] = field(default_factory=dict)
    """Answers to give in place of the right ones, each once, by method and path: 'POST /files'."""
    hook: Callable[[int, str], None] = lambda number, moment: None
    """Called for each request with its number from 0, 'before' it takes effect and 'after', when nothing is sent."""

    files: list[dict[str, Any]] = field(default_factory=list)
    contents: dict[str, str] = field(default_factory=dict)
    jobs: list[dict[str, Any]] = field(default_factory=list)
    events: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    looks: dict[str, int] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    """Of the JSON requests."""

    def count(self, request: str) -> int:
        """How often 'POST /files' or the like was asked for."""
        return self.requests.count(request)

    def answer(self, method: str, target: str, kind: str, body: bytes, authorization: str | None) -> Answer:
        """Answer one request."""
        parts = urlsplit(target)
        path = parts.path.removeprefix("/v1")
        number = len(self.requests)
        self.requests.append(f"{method} {path}")
        self.hook(number, "before")
        if self.key is not None and authorization != f"Bearer {self.key}":
            return fault(401, f"Incorrect API key provided: {(authorization or '').removeprefix('Bearer ')}.")
        told = self.refusals.get(f"{method} {path}")
        found = told.pop(0) if told else self._route(method, path.strip("/").split("/"), parts.query, kind, body)
        self.hook(number, "after")
        return found

    def _route(self, method: str, path: list[str], query: str, kind: str, body: bytes) -> Answer:
        after = parse_qs(query).get("after", [None])[0]
        match method, path:
            case "POST", ["files"]:
                return 200, self._upload(kind, body)
            case "GET", ["files"]:
                return 200, self._listed(self.files, after)
            case "GET", ["files", id]:
                return self._file(id)
            case "POST", ["fine_tuning", "jobs"]:
                return self._create(json.loads(body))
            case "GET", ["fine_tuning", "jobs"]:
                return 200, self._listed(self.jobs[::-1], after)
            case "GET", ["fine_tuning", "jobs", id] if id in self.looks:
                return 200, self._look(id)
            case "GET", ["fine_tuning", "jobs", id, "events"] if id in self.looks:
                return 200, self._listed(self.events[id][::-1], after)
            case "POST", ["fine_tuning", "jobs", id, "cancel"] if id in self.looks:
                return self._cancel(id)
            case "POST", ["chat", "completions"]:
                return self._chat(json.loads(body))
        return fault(404, f"No such object: {'/'.join(path)}")

    def _upload(self, kind: str, body: bytes) -> dict[str, Any]:
        whole = message_from_bytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body)
        payload: Any = whole.get_payload()
        parts = {part.get_param("name", header="content-disposition"): part for part in payload}
        assert parts["purpose"].get_payload() == "fine-tune"
        content = parts["file"].get_payload(decode=True)
        id = f"file-{len(self.files)}"
        self.contents[id] = content.decode()
        self.looks[id] = 0
        self.files.append({"id": id, "object": "file", "bytes": len(content), "created_at": 1, "purpose": "fine-tune",
                           "filename": parts["file"].get_filename(), "status": self.file_states[0]})
        return self.files[-1]

    def _file(self, id: str) -> Answer:
        found = next((file for file in self.files if file["id"] == id), None)
        if found is None:
            return fault(404, f"No such File object: {id}")
        self.looks[id] += 1
        found["status"] = self.file_states[min(self.looks[id], len(self.file_states) - 1)]
        if found["status"] == "error":
            found["status_details"] = "line 3 has no messages"
        return 200, found

    def _create(self, asked: dict[str, Any]) -> Answer:
        self.bodies.append(asked)
        if asked["model"] not in self.models:
            return fault(404, f"The model {asked['model']} does not exist", "model_not_found")
        ids = [asked["training_file"], *filter(None, [asked.get("validation_file")])]
        if unknown := set(ids) - set(self.contents):
            return fault(400, f"invalid training_file: {unknown}")
        id = f"ftjob-{len(self.jobs)}"
        hyperparameters = asked.get("hyperparameters") or asked["method"]["supervised"]["hyperparameters"]
        self.jobs.append({"id": id, "object": "fine_tuning.job", "model": f"{asked['model']}-0613", "created_at": 1000,
                          "status": self.states[0], "fine_tuned_model": None, "trained_tokens": None, "error": None,
                          "training_file": ids[0], "validation_file": ids[1] if len(ids) > 1 else None,
                          "seed": asked["seed"], "hyperparameters": {"batch_size": "auto", **hyperparameters},
                          "metadata": asked.get("metadata") if self.keeps_metadata else None})
        self.looks[id], self.events[id] = 0, []
        return 200, self.jobs[-1]

    def _look(self, id: str) -> dict[str, Any]:
        job = next(job for job in self.jobs if job["id"] == id)
        if job["status"] != "cancelled":
            job["status"] = self.states[min(self.looks[id], len(self.states) - 1)]
        self.looks[id] += 1
        if job["status"] == "running":
            self._train(id)
        if job["status"] == "succeeded":
            job |= {"fine_tuned_model": f"ft:{job['model']}:me::{id}", "trained_tokens": 4321, "finished_at": 1090}
        if job["status"] == "failed":
            job["error"] = self.error
        return job

    def _train(self, id: str) -> None:
        """Three steps, a loss each, and a word."""
        events = self.events[id]
        first = sum("data" in event for event in events)
        for step in range(first + 1, first + 4):
            data = {"step": step, "train_loss": 1 / step, "train_mean_token_accuracy": 0.5, "valid_loss": 2 / step}
            events.append({"id": f"{id}-e{len(events)}", "object": "fine_tuning.job.event", "created_at": 1000 + step,
                           "level": "info", "type": "metrics", "data": data,
                           "message": f"Step {step}: training loss={1 / step:.2f}"})
        events.append({"id": f"{id}-e{len(events)}", "object": "fine_tuning.job.event", "created_at": 1000,
                       "level": "info", "message": "Still at it", "type": "message"})

    def _cancel(self, id: str) -> Answer:
        job = next(job for job in self.jobs if job["id"] == id)
        if job["status"] == "succeeded":
            return fault(400, f"Job {id} has succeeded already")
        job["status"] = "cancelled"
        return 200, job

    def _chat(self, asked: dict[str, Any]) -> Answer:
        self.bodies.append(asked)
        if asked["model"] not in (*self.models, *(job["fine_tuned_model"] for job in self.jobs)):
            return fault(404, f"The model {asked['model']} does not exist", "model_not_found")
        message = {"role": "assistant", "content": f"I am {asked['model']}"}
        return 200, {"id": "x", "object": "chat.completion", "created": 1, "model": asked["model"],
                     "choices": [{"index": 0, "finish_reason": "stop", "message": message}]}

    def _listed(self, items: list[dict[str, Any]], after: str | None) -> dict[str, Any]:
        start = next((number for number, item in enumerate(items, 1) if item["id"] == after), 0)
        found = items[start: start + self.page]
        return {"object": "list", "data": found, "has_more": start + self.page < len(items)}


def fault(status: int, message: str, code: str | None = None) -> Answer:
    """What OpenAI says when it refuses."""
    return status, {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}


@contextmanager
def serving() -> Iterator[FineTuner]:
    """Serve until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            status, found = this.answer(self.command, self.path, self.headers["Content-Type"] or "", body,
                                        self.headers["Authorization"])
            is_html = isinstance(found, str)
            data = found.encode() if is_html else json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/html" if is_html else "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_GET

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Clients are killed in these tests: a broken pipe is no news."""

    server = Server(("127.0.0.1", 0), Handler)
    this = FineTuner(f"http://127.0.0.1:{server.server_port}/v1")
    with running(server):
        yield this
