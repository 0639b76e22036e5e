"""Tools of an MCP server, against a real one: over stdio and over HTTP, wrong arguments, servers that fail and die."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fireact.errors import ConfigError, DataError, ToolError, ToolUnavailable
from fireact.plugins import check
from fireact.requests import Act
from fireact.store import identity
from fireact.tool.mcp import Mcp
from fireact.tool.toolbox import Toolbox
from fireact.types import Observation

pytest.importorskip("mcp")
SERVER = Path(__file__).with_name("mcp_server.py")
COMMAND = (sys.executable, str(SERVER))
ALL = ("getPopulation", "wait", "die", "always_die", "refuse", "pid", "environment")


def tool(home: Path, **options: Any) -> Mcp:
    return Mcp(home=home, **{"command": COMMAND, "allow": ALL, **options})


def play(this: Mcp, *calls: tuple[str, str]) -> list[Observation | Exception]:
    """What each call of one run brings."""
    async def run() -> list[Observation | Exception]:
        told: list[Observation | Exception] = []
        for name, argument in calls:
            try:
                told.append(await this(Act(name, argument)))
            except (ToolError, ToolUnavailable, ConfigError) as failure:
                told.append(failure)
        await this.close()
        return told

    return asyncio.run(run())


def texts(told: list[Observation | Exception]) -> list[str]:
    return [seen.text if isinstance(seen, Observation) else str(seen) for seen in told]


def test_its_tools_are_actions_with_typed_arguments(tmp_path: Path) -> None:
    this = tool(tmp_path, allow=("getPopulation", "wait"))
    assert this.actions == ("get_population", "wait")
    assert str(this.specs[0]) == ("get_population[{town: string, rounded?: boolean}] Say how many people live in a "
                                  "town.")
    assert texts(play(this, ("get_population", '{"town": "Thimphu"}'), ("get_population", '{"town": "Paris", '
                      '"rounded": true}'), ("wait", "0.01"))) == ["114551", "2103000", "done"]


def test_what_it_is_asked_wrongly_is_told_to_the_model(tmp_path: Path) -> None:
    told = play(tool(tmp_path, timeout=0.3), ("get_population", '{"town": "Atlantis"}'), ("get_population", "Paris"),
                ("get_population", '{"town": 3}'), ("wait", "60"), ("get_population", '{"town": "Paris"}'))
    assert [type(seen) for seen in told] == [ToolError] * 4 + [Observation]
    for seen, words in zip(texts(told), ("Error executing tool getPopulation", "takes a JSON object, not 'Paris'",
                                         "3 is not of type 'string'", "did not answer within 0.3 seconds", "2102650"),
                           strict=True):
        assert words in seen


def test_a_server_that_dies_is_started_once_more(tmp_path: Path) -> None:
    told = play(tool(tmp_path), ("get_population", '{"town": "Paris"}'), ("die", str(tmp_path / "marker")),
                ("always_die", ""), ("get_population", '{"town": "Paris"}'))
    assert texts(told)[:2] == ["2102650", "alive again"]
    assert isinstance(told[2], ToolError)
    assert "ended at this call, and again when it had been restarted (out of memory)" in str(told[2])
    assert texts(told)[3] == "2102650"


def test_a_server_that_refuses_with_the_code_of_a_closed_connection_is_not_restarted(tmp_path: Path) -> None:
    before, refused, after = play(tool(tmp_path), ("pid", ""), ("refuse", ""), ("pid", ""))
    assert str(refused) == "the server refuses this: no way"
    assert before == after


def test_calls_at_the_same_time_survive_a_death(tmp_path: Path) -> None:
    async def run() -> list[Observation]:
        this = tool(tmp_path)
        told = await asyncio.gather(this(Act("wait", "0.3")), this(Act("die", str(tmp_path / "marker"))),
                                    *(this(Act("get_population", '{"town": "Paris"}')) for _ in range(5)))
        await this.close()
        return told

    assert [seen.text for seen in asyncio.run(run())] == ["done", "alive again", *["2102650"] * 5]


def test_a_server_that_is_killed_in_the_middle_is_started_once_more(tmp_path: Path) -> None:
    async def run() -> None:
        this = tool(tmp_path)
        pid = int((await this(Act("pid", ""))).text)
        waiting = asyncio.create_task(this(Act("wait", "0.5")))
        await asyncio.sleep(0.1)
        os.kill(pid, signal.SIGKILL)
        assert (await waiting).text == "done"
        assert int((await this(Act("pid", ""))).text) != pid
        await this.close()

    asyncio.run(run())


def test_one_that_cannot_be_restarted_ends_the_episode(tmp_path: Path) -> None:
    program = tmp_path / "server.py"
    program.write_text(SERVER.read_text())
    this = tool(tmp_path, command=(sys.executable, str(program)))
    assert this.actions

    async def run() -> None:
        await this(Act("wait", "0"))
        program.write_text("raise SystemExit('the disk is full')")
        with pytest.raises(ToolUnavailable, match=r"MCP .* cannot be reached: the disk is full; start the same"):
            await this(Act("always_die", ""))
        await this.close()

    asyncio.run(run())


def test_the_server_is_asked_once_and_later_it_must_say_the_same(tmp_path: Path) -> None:
    assert tool(tmp_path).actions
    kept = next(tmp_path.glob("mcp-*.json"))
    told = json.loads(kept.read_text())
    told["getPopulation"]["description"] = "Say something else."
    kept.write_text(json.dumps(told))
    this = tool(tmp_path, command=COMMAND)
    assert this.specs[0].description == "Say something else."
    failure, = play(this, ("get_population", '{"town": "Paris"}'))
    assert isinstance(failure, ConfigError)
    assert "says something else of its tool 'getPopulation' than when it was first asked" in str(failure)
    assert f"delete {kept}" in str(failure)
    assert texts(play(tool(tmp_path, allow=("wait",)), ("wait", "0"))) == ["done"]
    for damaged in ("{", "null", "[1]", '{"wait": 5}', '{"wait": {"description": "", "parameters": 1}}', "[" * 9999):
        kept.write_text(damaged)
        with pytest.raises(DataError, match=r"cannot be read .*; delete it, and the server is asked anew"):
            assert tool(tmp_path).actions


@pytest.mark.parametrize(("options", "sentence"), [
    ({"command": ("no-such-program",)}, "no-such-program cannot be started: .*No such file.*; check command and env"),
    ({"command": (sys.executable, "-c", "raise SystemExit('no licence')")}, "cannot be started: no licence; check com"),
    ({"env": {"REFUSE": "yes", "TOKEN": "$TEST_TOKEN"}}, r"cannot be started: no licence for \*\*\*; check command"),
    ({"env": {"TOKEN": "$NOT_SET"}}, r"TOKEN is to hold \$NOT_SET, and this environment variable is not set"),
    ({"command": ()}, r"needs one server: command=\[\.\.\.\], which starts it, or url="),
    ({"url": "http://127.0.0.1:9/mcp"}, "needs one server"),
    ({"command": (), "url": "nowhere"}, "url=nowhere is no address"),
    ({"command": (), "url": "http://me:password@x/mcp"}, "url=x/mcp is no address without a password"),
    ({"command": (), "url": "http://127.0.0.1:9/mcp"}, "cannot be reached: All connection attempts failed; check that"),
    ({"allow": ()}, r"may call nothing; allow tools of .*: allow=\[getPopulation, wait, die, always_die, refus"),
    ({"allow": ("getPopulatoin",)}, r"allow names 'getPopulatoin', .* \(did you mean getPopulation\?\)"),
    ({"allow": ("wait", "wait")}, "allow names two tools that are both called wait"),
])
def test_what_is_wrong_is_said_before_anything_is_played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                         options: dict[str, Any], sentence: str) -> None:
    monkeypatch.setenv("TEST_TOKEN", "very-secret-token")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(ConfigError, match=sentence) as failure:
        assert tool(tmp_path, **options).actions
    assert "password@" not in str(failure.value)


def test_the_server_has_what_it_was_given_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_OURS", "never-told")
    monkeypatch.setenv("TEST_TOKEN", "very-secret-token")
    assert texts(play(tool(tmp_path, env={"TOKEN": "$TEST_TOKEN"}), ("environment", ""))) == ["TOKEN=***"]
    with pytest.raises(ConfigError, match=r"TOKEN holds a secret, which would be saved .* \$MY_KEY"):
        check({"_target_": "fireact.tool.mcp.Mcp", "env": {"TOKEN": "very-secret-token"}}, "tool")


def test_the_content_of_the_program_is_part_of_the_key(tmp_path: Path) -> None:
    program = tmp_path / "server.py"
    program.write_text("1")
    node = {"_target_": "fireact.tool.mcp.Mcp", "command": [sys.executable, str(program)]}
    before = identity(node)
    assert str(tmp_path) not in json.dumps(before)
    program.write_text("22")
    assert identity(node) != before


def in_a_loop(work: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(work())  # type: ignore[arg-type]


def test_its_tools_can_be_asked_for_within_an_event_loop_and_in_a_toolbox(tmp_path: Path) -> None:
    async def run() -> None:
        this = tool(tmp_path, allow=("wait",))
        box = Toolbox(tools={"slow": this})
        assert box.actions == ("wait",)
        assert (await box(Act("wait", "0"))).text == "done"
        await this.close()
        await this.close()

    in_a_loop(run)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([*COMMAND, str(port)], stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/mcp", process
    finally:
        process.kill()
        process.wait()


def test_over_http(tmp_path: Path, served: tuple[str, "subprocess.Popen[bytes]"]) -> None:
    url, process = served
    this = tool(tmp_path, command=(), url=url)
    assert texts(play(this, ("get_population", '{"town": "Thimphu"}'), ("wait", "0"))) == ["114551", "done"]
    again = tool(tmp_path, command=(), url=url)

    async def run() -> None:
        await again(Act("wait", "0"))
        process.kill()
        process.wait()
        with pytest.raises(ToolUnavailable, match=r"cannot be reached: .*; start the same command again later"):
            await again(Act("wait", "0"))
        await again.close()

    asyncio.run(run())
