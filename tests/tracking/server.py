"""A server on the loopback that speaks W&B's protocol as far as its client needs it, and keeps what it was sent.

It stands for api.wandb.ai: the client of the installed wandb talks to it, online or in `wandb sync`.
"""

import json
import re
import threading
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class SentRun:
    """What the server knows of a run."""

    entity: str
    project: str
    id: str
    upserts: list[dict[str, Any]] = field(default_factory=list)
    stream: dict[str, list[str]] = field(default_factory=dict)
    """The lines of each streamed file."""
    files: dict[str, bytes] = field(default_factory=dict)
    used: list[str] = field(default_factory=list)
    """Artifacts by name and version, in the order of their use."""
    logged: list[str] = field(default_factory=list)
    exit_codes: list[int] = field(default_factory=list)

    def latest(self, name: str) -> Any:
        """The last value of a property that was sent."""
        return next((sent[name] for sent in reversed(self.upserts) if sent.get(name) is not None), None)

    @property
    def config(self) -> dict[str, Any]:
        """Without what wandb says of itself."""
        sent = json.loads(self.latest("config") or "{}")
        return {name: value["value"] for name, value in sent.items() if name != "_wandb"}

    @property
    def history(self) -> list[dict[str, Any]]:
        """The points of the curves, in the order of the server."""
        return [json.loads(line) for line in self.stream.get("wandb-history.jsonl", [])]

    @property
    def summary(self) -> dict[str, Any]:
        """The last of what was streamed."""
        lines = self.stream.get("wandb-summary.json", [])
        return json.loads(lines[-1]) if lines else {}


@dataclass
class SentArtifact:
    """One version of a collection of artifacts."""

    id: str
    collection: str
    type: str
    digest: str
    version: int
    by: str | None
    """The run that logged it first."""
    metadata: dict[str, Any]
    committed: bool = False
    manifest: dict[str, Any] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """As users write it."""
        return f"{self.collection}:v{self.version}"


class Server(ThreadingHTTPServer):
    """Keeps runs and artifacts in memory."""

    daemon_threads = True

    def __init__(self) -> None:
        """Listen on a free port."""
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.guard = threading.RLock()
        self.runs: dict[str, SentRun] = {}
        self.artifacts: list[SentArtifact] = []
        self.client_ids: dict[str, str] = {}
        self.requests: list[str] = []
        self.headers: list[str] = []
        self.uploads = 0
        self.status = 0
        """A status that every request is answered by; 0: as it should be."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is none."""

    def run(self, run: str) -> SentRun:
        """The run of an id, made where there is none."""
        return self.runs.setdefault(run, SentRun("me", "", run))

    def artifact(self, identity: str) -> SentArtifact:
        """The artifact of an id."""
        return next(artifact for artifact in self.artifacts if artifact.id == identity)


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Nothing is printed."""

    def do_POST(self) -> None:
        """GraphQL, and the stream of a run's lines."""
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "{}")
        with self.server.guard:
            if self._refused():
                return
            if self.path == "/graphql":
                name = body.get("operationName") or re.findall(r"(?:query|mutation) (\w+)", body["query"])[0]
                self.server.requests.append(name)
                answer = getattr(self, f"_{name}", self._unknown)(body.get("variables") or {})
                self._reply(answer if "errors" in answer else {"data": answer})
            elif found := re.fullmatch(r"/files/([^/]+)/([^/]+)/([^/]+)/file_stream", self.path):
                self._reply(self._streamed(self.server.run(found[3]), body))
            else:
                self._reply({}, 404)

    def do_PUT(self) -> None:
        """A file."""
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self.server.guard:
            if self.server.status:
                self._reply({}, self.server.status)
                return
            _, kind, owner, name = self.path.split("/", 3)
            if kind == "run":
                self.server.run(owner).files[name] = data
            elif kind == "manifest":
                self.server.artifact(owner).manifest = json.loads(data)
            else:
                self.server.uploads += 1
                self.server.artifact(owner).files[name] = data
            self._reply({})

    def _refused(self) -> bool:
        given = self.headers.get("Authorization") or ""
        self.server.headers.append(given)
        wrong = given.startswith("Basic ") and b64decode(given[6:]).decode().partition(":")[2] != KEY
        status = self.server.status or (401 if wrong else 0)
        if status:
            self._reply({"errors": [{"message": "user is not logged in"}]}, status)
        return bool(status)

    def _reply(self, values: dict[str, Any], status: int = 200) -> None:
        data = json.dumps(values).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _streamed(self, run: SentRun, body: dict[str, Any]) -> dict[str, Any]:
        for name, part in (body.get("files") or {}).items():
            lines = run.stream.setdefault(name, [])
            offset = part.get("offset") or 0
            assert offset <= len(lines), f"{name}: a gap before line {offset}"
            lines[offset:offset + len(part["content"])] = part["content"]
        if body.get("exitcode") is not None:
            run.exit_codes.append(body["exitcode"])
        return {"exitcode": None, "limits": {}}

    def _unknown(self, variables: dict[str, Any]) -> dict[str, Any]:
        return {"errors": [{"message": "this server does not know that"}]}

    def _Viewer(self, variables: dict[str, Any]) -> dict[str, Any]:
        return {"viewer": {"id": "me", "entity": "me", "username": "me", "email": "me@x.org", "flags": "{}",
                           "teams": {"edges": [{"node": {"name": "me"}}]}}}

    def _ServerFeaturesQuery(self, variables: dict[str, Any]) -> dict[str, Any]:
        return {"serverInfo": {"features": []}}

    def _RunResumeStatus(self, variables: dict[str, Any]) -> dict[str, Any]:
        run = self.server.runs.get(variables["name"])
        bucket = None
        if run is not None and run.upserts:
            history = run.stream.get("wandb-history.jsonl", [])
            bucket = {"id": run.id, "name": run.id, "summaryMetrics": json.dumps(run.summary),
                      "displayName": run.latest("displayName"), "logLineCount": 0, "historyLineCount": len(history),
                      "eventsLineCount": 0, "historyTail": json.dumps(history[-1:]), "eventsTail": "[]",
                      "config": run.latest("config") or "{}", "tags": run.latest("tags") or [], "notes": None,
                      "wandbConfig": json.dumps({"t": 1})}
        return {"model": {"id": "p", "name": variables["project"], "entity": {"id": "me", "name": "me"},
                          "bucket": bucket}}

    def _UpsertBucket(self, variables: dict[str, Any]) -> dict[str, Any]:
        run = self.server.run(variables["name"])
        inserted = not run.upserts
        run.project = variables.get("project") or run.project
        run.entity = variables.get("entity") or run.entity
        run.upserts.append(variables)
        return {"upsertBucket": {"bucket": {
            "id": run.id, "name": run.id, "displayName": run.latest("displayName"), "description": "",
            "config": run.latest("config") or "{}", "sweepName": None, "historyLineCount": len(run.history),
            "project": {"id": "p", "name": run.project, "entity": {"id": "me", "name": run.entity}}},
            "inserted": inserted}}

    def _CreateRunFiles(self, variables: dict[str, Any]) -> dict[str, Any]:
        run = variables["run"]
        return {"createRunFiles": {"runID": run, "uploadHeaders": [], "files": [
            {"name": name, "uploadUrl": f"{self.server.url}/run/{run}/{name}"} for name in variables["files"]]}}

    def _MarkRunFilesUploaded(self, variables: dict[str, Any]) -> dict[str, Any]:
        return {"markRunFilesUploaded": {"success": True}}

    def _CreateArtifact(self, variables: dict[str, Any]) -> dict[str, Any]:
        given, artifacts = variables["input"], self.server.artifacts
        collection = given.get("artifactCollectionName") or given["artifactCollectionNames"][0]
        versions = [artifact for artifact in artifacts if artifact.collection == collection]
        same = next((artifact for artifact in versions if artifact.digest == given["digest"]), None)
        if same is None:
            same = SentArtifact(f"artifact{len(artifacts)}", collection, given["artifactTypeName"], given["digest"],
                                len(versions), given.get("runName"), json.loads(given.get("metadata") or "{}"))
            artifacts.append(same)
        if given.get("clientID"):
            self.server.client_ids[given["clientID"]] = same.id
        # What a run only goes on from is made without a run.
        if given.get("runName"):
            self.server.run(given["runName"]).logged.append(same.name)
        latest = {"id": versions[-1].id} if versions else None
        return {"createArtifact": {"artifact": {"id": same.id, "state": "COMMITTED" if same.committed else "PENDING",
                                                "artifactSequence": {"latestArtifact": latest}}}}

    def _CreateArtifactManifest(self, variables: dict[str, Any]) -> dict[str, Any]:
        return self._manifest("createArtifactManifest", variables["artifactID"])

    def _UpdateArtifactManifest(self, variables: dict[str, Any]) -> dict[str, Any]:
        return self._manifest("updateArtifactManifest", variables["artifactManifestID"])

    def _manifest(self, name: str, artifact: str) -> dict[str, Any]:
        return {name: {"artifactManifest": {"id": artifact, "file": {
            "id": artifact, "uploadUrl": f"{self.server.url}/manifest/{artifact}/m", "uploadHeaders": []}}}}

    def _CreateArtifactFiles(self, variables: dict[str, Any]) -> dict[str, Any]:
        nodes = [{"storagePath": f"x/{file['name']}", "uploadHeaders": [], "uploadMultipartUrls": None,
                  "artifact": {"id": file["artifactID"]},
                  "uploadUrl": f"{self.server.url}/file/{file['artifactID']}/{file['name']}"}
                 for file in variables["input"]["artifactFiles"]]
        return {"createArtifactFiles": {"files": {"edges": [{"node": node} for node in nodes]}}}

    def _CommitArtifact(self, variables: dict[str, Any]) -> dict[str, Any]:
        artifact = self.server.artifact(variables["artifactID"])
        artifact.committed = True
        return {"commitArtifact": {"artifact": {"id": artifact.id, "digest": artifact.digest}}}

    def _ArtifactByID(self, variables: dict[str, Any]) -> dict[str, Any]:
        artifact = self.server.artifact(variables["id"])
        project = {"id": "cA==", "internalId": "cA==", "name": "fireact", "entity": {"name": "me"}}
        return {"artifact": {
            "__typename": "Artifact", "id": artifact.id, "versionIndex": artifact.version,
            "artifactSequence": {"__typename": "ArtifactSequence", "id": "s", "name": artifact.collection,
                                 "project": project},
            "artifactType": {"name": artifact.type}, "description": None, "metadata": json.dumps(artifact.metadata),
            "ttlDurationSeconds": -2, "ttlIsInherited": True, "tags": [], "historyStep": None, "state": "COMMITTED",
            "size": 0, "digest": artifact.digest, "commitHash": None, "fileCount": len(artifact.files),
            "createdAt": "2026-11-01T00:00:00", "updatedAt": None, "aliases": []}}

    def _UseArtifact(self, variables: dict[str, Any]) -> dict[str, Any]:
        given = variables["input"]
        artifact = self.server.artifact(given["artifactID"])
        self.server.run(given["runName"]).used.append(artifact.name)
        return {"useArtifact": {"artifact": {"id": artifact.id}}}

    def _ClientIDMapping(self, variables: dict[str, Any]) -> dict[str, Any]:
        found = self.server.client_ids.get(variables["clientID"])
        return {"clientIDMapping": {"serverID": found} if found else None}

    def _FetchArtifactDigestAlgorithm(self, variables: dict[str, Any]) -> dict[str, Any]:
        return {"project": {"artifactType": None}}

    def _XXHashDigestsEnabled(self, variables: dict[str, Any]) -> dict[str, Any]:
        return {"entity": {"xxhashDigestsEnabled": False}}


@contextmanager
def serving() -> Iterator[Server]:
    """Serve until the end of the block."""
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
