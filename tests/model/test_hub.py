"""What a hub may answer, by a server on the loopback that speaks its protocol."""

import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.conftest import environment
from tests.helpers import ROOT
from tests.loopback import running

RESOLVE = """
from fireact.errors import FireActError
from fireact.model.local import weights
try:
    weights.resolve("org/{name}")
except FireActError as error:
    print(f"{{type(error).__name__}}: {{error}}")
"""


class Hub(BaseHTTPRequestHandler):
    """Refuses every model, by the name it is asked for."""

    def do_GET(self) -> None:
        kind = "GatedRepo" if "/gated" in self.path else "RepoNotFound"
        self.send_response(403 if kind == "GatedRepo" else 401)
        self.send_header("X-Error-Code", kind)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def hub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    with running(server):
        yield f"http://127.0.0.1:{server.server_port}"


@pytest.mark.parametrize(("name", "sentence"), [
    ("gated", "ConfigError: the model org/gated is gated; accept its licence on "),
    ("absent", "ConfigError: the hub has no model 'org/absent', or it is private; check model.source"),
])
def test_a_model_that_the_hub_does_not_give(hub: str, tmp_path: Path, name: str, sentence: str) -> None:
    settings = {**environment(), "HF_HUB_OFFLINE": "0", "HF_ENDPOINT": hub, "HF_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", RESOLVE.format(name=name)], cwd=ROOT, env=settings, text=True,
                          capture_output=True, check=True)
    assert done.stdout.startswith(sentence), done.stdout + done.stderr
    assert done.stdout.count("\n") == 1
