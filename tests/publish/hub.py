"""A hub on the loopback that keeps what is pushed: small files are committed, large ones come by LFS."""

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.loopback import running

TOKEN = "hf_a_secret_that_is_in_no_file"
LARGE = (".safetensors", ".gguf", ".bin")


@dataclass
class Hub:
    """What a hub holds."""

    url: str = ""
    repos: dict[str, dict[str, bytes]] = field(default_factory=dict)
    made: list[dict[str, Any]] = field(default_factory=list)
    cards: list[str] = field(default_factory=list)
    commits: list[str] = field(default_factory=list)
    objects: dict[str, bytes] = field(default_factory=dict)


@contextmanager
def serve() -> Iterator[Hub]:
    """A hub where TOKEN may write below mine/, and nobody below foreign/."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = self.path.partition("?")[0].strip("/").split("/")
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                self.answer(401, {"error": "Invalid username or password."})
            elif parts == ["api", "repos", "create"]:
                self.create(json.loads(body))
            elif parts == ["api", "validate-yaml"]:
                hub.cards.append(json.loads(body)["content"])
                wrong = [{"message": '"license" must be one of a list'}] if "license: wrong" in hub.cards[-1] else []
                self.answer(400 if wrong else 200, {"errors": wrong, "warnings": []})
            elif parts[-2:-1] == ["preupload"]:
                self.answer(200, {"files": [
                    {"path": file["path"], "shouldIgnore": False, "oid": None,
                     "uploadMode": "lfs" if file["path"].endswith(LARGE) else "regular"}
                    for file in json.loads(body)["files"]]})
            elif parts[-1] == "batch":
                self.answer(200, {"transfer": "basic", "objects": [
                    {**wanted, **({} if wanted["oid"] in hub.objects else
                                  {"actions": {"upload": {"href": f"{hub.url}/lfs/{wanted['oid']}"}}})}
                    for wanted in json.loads(body)["objects"]]})
            elif parts[-2:-1] == ["commit"]:
                self.commit("/".join(parts[2:4]), [json.loads(line) for line in body.splitlines()])
            else:
                self.answer(404, {"error": f"not here: {self.path}"})

        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            oid = self.path.rpartition("/")[2]
            assert hashlib.sha256(body).hexdigest() == oid
            hub.objects[oid] = body
            self.answer(200, {})

        def do_GET(self) -> None:
            self.answer(404, {"error": "Entry not found"})

        do_HEAD = do_GET

        def create(self, wanted: dict[str, Any]) -> None:
            name = f"{wanted.get('organization') or 'somebody'}/{wanted['name']}"
            if name.startswith("foreign/"):
                self.answer(403, {"error": "You don't have the rights to create a model under the namespace"})
            elif name in hub.repos:
                self.answer(409, {"error": "You already created this model repo", "url": f"{hub.url}/{name}"})
            else:
                hub.repos[name] = {}
                hub.made.append(wanted)
                self.answer(200, {"url": f"{hub.url}/{name}", "name": name})

        def commit(self, repo: str, lines: list[dict[str, Any]]) -> None:
            for line in lines:
                value = line["value"]
                if line["key"] == "file":
                    assert value["encoding"] == "base64"
                    hub.repos[repo][value["path"]] = base64.b64decode(value["content"])
                if line["key"] == "lfsFile":
                    hub.repos[repo][value["path"]] = hub.objects[value["oid"]]
            hub.commits.append(repo)
            oid = f"{len(hub.commits):040d}"
            self.answer(200, {"success": True, "commitUrl": f"{hub.url}/{repo}/commit/{oid}", "commitOid": oid})

        def answer(self, status: int, value: Any) -> None:
            text = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(text)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    with running(server):
        yield hub
