"""Servers are shared, end when nobody needs them, and leave nothing behind, whoever is killed."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fireact.errors import ConfigError, ProviderError
from fireact.requests import Ask
from fireact.serving.lease import alive
from fireact.types import Message
from tests.helpers import ROOT
from tests.model.tiny import tiny_model
from tests.serving.servers import COMMAND, end_all, folder, folders, running, served, wait

ASK = Ask((Message("user", "Who?"),))
pytestmark = pytest.mark.skipif(not Path("/proc").exists(), reason="looks at processes as Linux shows them")
Holder = "subprocess.Popen[str]"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    end_all(tmp_path)


@pytest.fixture
def hold(tiny: Path, home: Path) -> Iterator[Callable[..., Holder]]:
    """Starts processes that need the server."""
    started: list[subprocess.Popen[str]] = []

    def start(idle: float = 600.0, *arguments: str, **environment: str) -> Holder:
        started.append(subprocess.Popen(
            [sys.executable, "-m", "tests.serving.holder", str(tiny), str(home), str(idle), *arguments], cwd=ROOT,
            text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, **environment}))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def said(process: Holder, word: str) -> str:
    """The rest of its next line that begins with a word."""
    for line in process.stdout:
        if line.startswith(word):
            return line.removeprefix(word).strip()
    raise AssertionError(f"it ended without {word!r}")


def ask(process: Holder) -> None:
    process.stdin.write("\n")
    process.stdin.flush()


def complete(model, then: Callable[[], object] = lambda: None) -> str:
    """A reply of a model that is closed after what is done `then`."""

    async def play() -> str:
        try:
            await model.connected()
            then()
            return (await model.complete(ASK)).text
        finally:
            await model.close()

    return asyncio.run(play())


def kill(process: int) -> None:
    os.kill(process, signal.SIGKILL)
    wait(lambda: not running(process))


def test_processes_that_start_together_share_one_server(hold: Callable[..., Holder], home: Path) -> None:
    cells = [hold() for _ in range(3)]
    assert len({said(cell, "url") for cell in cells}) == 1
    for cell in cells:
        ask(cell)
    assert len({said(cell, "reply") for cell in cells}) == 1
    assert (folder(home).path / "supervisor.log").read_text().count("started the engine") == 1


def test_a_server_ends_once_the_last_who_needs_it_is_killed(hold: Callable[..., Holder], home: Path) -> None:
    one, other = hold(idle=0.5), hold(idle=0.5)
    engine = int(said(one, "url").split()[1])
    said(other, "url")
    one.kill()
    one.wait()
    ask(other)
    said(other, "reply")
    assert running(engine)
    other.kill()
    wait(lambda: not running(engine) and not alive(folder(home)))
    assert folder(home).state() is None
    assert "nobody has needed it for 0.5 s" in (folder(home).path / "supervisor.log").read_text()


def test_a_killed_supervisor_takes_its_engine_with_it(tiny: Path, home: Path) -> None:
    def killed() -> None:
        state = folder(home).state()
        kill(state.supervisor)
        wait(lambda: not running(state.engine))

    with pytest.raises(ProviderError, match=r"the server of tiny has gone: .*start the same command again"):
        complete(served(tiny, home), killed)
    assert complete(served(tiny, home))


def test_a_killed_engine_is_told_and_the_next_start_begins_a_new_one(tiny: Path, home: Path) -> None:
    with pytest.raises(ProviderError, match=r"the server of tiny was killed by SIGKILL: .*log: .*begins a new one"):
        complete(served(tiny, home), lambda: kill(folder(home).state().engine))
    assert complete(served(tiny, home))
    assert (folder(home).path / "supervisor.log").read_text().count("started the engine") == 2


def test_a_supervisor_that_is_terminated_ends_its_engine(tiny: Path, home: Path) -> None:
    engine = []

    def ended() -> None:
        engine.append(folder(home).state().engine)
        end_all(home)

    with pytest.raises(ProviderError, match="was ended by SIGTERM"):
        complete(served(tiny, home), ended)
    assert not running(engine[0])


def test_options_that_make_another_server_make_another(tiny: Path, home: Path) -> None:
    complete(served(tiny, home))
    complete(served(tiny, home, server={"idle": 5.0, "startup": 50.0}, max_tokens=3, temperature=0.5))
    assert len(folders(home)) == 1
    complete(served(tiny, home, server={"max_model_len": 256}))
    assert len(folders(home)) == 2


def test_no_key_of_the_environment_is_written(hold: Callable[..., Holder], home: Path) -> None:
    said(hold(OPENAI_API_KEY="sk-secret-1", HF_TOKEN="hf-secret-2"), "url")
    for file in folder(home).path.iterdir():
        assert b"secret" not in file.read_bytes()


@pytest.mark.parametrize(("arguments", "server", "sentence"), [
    (["--fail=torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB."], {},
     r"the server of tiny ended with exit code 1: torch\.OutOfMemoryError: CUDA out of memory\. Tried to allocate 2"),
    (["--port=none"], {}, r"exit code 2: standin_engine\.py: error: argument --port: invalid int value: 'none'"),
    (["--never-ready"], {"startup": 0.5}, r"did not answer within 0\.5 seconds .*raise model\.serving\.startup"),
    ([], {"command": ["/no/such/python"]}, r"model\.serving\.command begins with /no/such/python, which is no program"),
    ([], {"command": None}, r"needs vLLM, which .* does not have; run: pip install vllm .*model\.engine=transformers"),
])
def test_a_server_that_cannot_start_is_told(tiny: Path, home: Path, arguments: list[str], server: dict,
                                            sentence: str) -> None:
    if server.get("command", ...) is None:
        try:
            import vllm  # noqa: F401
        except ImportError:
            pass
        else:
            pytest.skip("this Python has vLLM")
    for _ in range(2):
        with pytest.raises(ConfigError, match=sentence) as failure:
            complete(served(tiny, home, *arguments, server=server))
        assert "\n" not in str(failure.value)


def test_what_failed_once_is_not_tried_again_by_the_same_model(tiny: Path, home: Path) -> None:
    async def play() -> list[object]:
        model = served(tiny, home, "--fail=ValueError: no")
        return [*await asyncio.gather(*(model.complete(ASK) for _ in range(3)), return_exceptions=True),
                *await asyncio.gather(model.complete(ASK), return_exceptions=True)]

    failures = asyncio.run(play())
    assert {type(failure) for failure in failures} == {ConfigError}
    assert (folder(home).path / "supervisor.log").read_text().count("started the engine") == 1


def test_a_start_that_nobody_waits_for_is_ended(hold: Callable[..., Holder], home: Path) -> None:
    process = hold(0.2, "--never-ready")
    wait(lambda: folders(home) and folder(home).state())
    engine = folder(home).state().engine
    process.kill()
    process.wait()
    wait(lambda: not running(engine) and not alive(folder(home)))


def test_the_files_of_a_server_are_readable(tiny: Path, home: Path) -> None:
    complete(served(tiny, home))
    told = json.loads((folder(home).path / "spec.json").read_text())
    assert told["command"][:2] == COMMAND
    assert json.loads((folder(home).path / "state.json").read_text())["phase"] == "ready"
