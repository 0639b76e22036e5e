"""Answers of the web: asked for once, kept whatever happens, and no key anywhere but on the wire."""

import asyncio
import gzip
import logging
import signal
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fireact.bodies import LARGEST
from fireact.errors import ConfigError, DataError, ToolError, ToolUnavailable
from fireact.web import Passing, Web, retry_after
from tests.helpers import ROOT, files_up_to
from tests.loopback import Reply, script, serve

KEY = "very-secret/0123456789"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("TEST_KEY", KEY)


def judge(status: int, answer: dict[str, Any]) -> Exception | None:
    kind = {"passing": Passing, "quota": ToolUnavailable, "model": ToolError}.get(answer.get("bad", ""))
    return kind(f"is {answer['bad']}") if kind else None


def web(url: str, folder: Path, **options: Any) -> Web:
    return Web(name="Test", url=url, cache=folder / "web.sqlite", judge=judge,
               **{"retries": 2, "backoff": 0.0, "key_env": "TEST_KEY", **options})


def get(this: Web, **params: str) -> dict[str, Any]:
    return asyncio.run(this.get(params))


def echo(asked: Mapping[str, str]) -> Reply:
    return Reply({"q": asked["q"]})


def test_an_answer_is_asked_for_once_and_needs_no_key_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(echo) as server:
        this = web(server.url, tmp_path)
        assert get(this, q="Thimphu", engine="x") == {"q": "Thimphu"}
        assert get(this, engine="x", q="Thimphu") == {"q": "Thimphu"}
        assert get(this, q="Paris") == {"q": "Paris"}
        assert server.asked == [{"q": "Thimphu", "engine": "x", "api_key": KEY}, {"q": "Paris", "api_key": KEY}]
    monkeypatch.delenv("TEST_KEY")
    assert get(web(server.url, tmp_path), q="Thimphu", engine="x") == {"q": "Thimphu"}


def test_another_address_is_another_question(tmp_path: Path) -> None:
    with serve(echo) as one, serve(echo) as other:
        assert get(web(one.url, tmp_path), q="x") == get(web(other.url, tmp_path), q="x")
        assert len(one.asked) == len(other.asked) == 1


def test_the_key_is_on_the_wire_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with serve(script(Reply({"note": f"your key {KEY}"}), Reply({"error": f"no {KEY}"}, 403))) as server:
        this = web(server.url, tmp_path)
        assert get(this, q="a") == {"note": "your key ***"}
        with pytest.raises(ConfigError, match=r"^Test refuses the key in \$TEST_KEY: no \*\*\*$"):
            get(this, q="b")
        assert [asked["api_key"] for asked in server.asked] == [KEY, KEY]
    assert "127.0.0.1" in caplog.text
    for told in (caplog.text, repr(this), *(path.read_bytes().decode("latin1") for path in tmp_path.iterdir())):
        assert "very-secret" not in told


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(queries=st.lists(st.sampled_from(["a", "b", "ä c", "&d=e", "\ud83d"]), min_size=1, max_size=12))
def test_what_is_under_way_is_not_asked_for_again(tmp_path_factory: Any, queries: list[str]) -> None:
    async def all_at_once(this: Web) -> list[dict[str, Any]]:
        return await asyncio.gather(*(this.get({"q": query}) for query in queries))

    with serve(echo) as server:
        answers = asyncio.run(all_at_once(web(server.url, tmp_path_factory.mktemp("web"))))
    assert [answer["q"] for answer in answers] == [query.replace("\ud83d", "?") for query in queries]
    assert sorted(asked["q"] for asked in server.asked) == sorted({answer["q"] for answer in answers})


def test_requests_beyond_the_connections_wait(tmp_path: Path) -> None:
    lock, under_way, most = threading.Lock(), 0, 0

    def answer(asked: Mapping[str, str]) -> Reply:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        threading.Event().wait(0.01)
        with lock:
            under_way -= 1
        return echo(asked)

    async def many(this: Web) -> None:
        await asyncio.gather(*(this.get({"q": str(number)}) for number in range(12)))

    with serve(answer) as server:
        asyncio.run(many(web(server.url, tmp_path, connections=2, timeout=5)))
    assert len(server.asked) == 12
    assert most <= 2


def test_closing_ends_what_is_under_way_and_books_it(tmp_path: Path) -> None:
    """A search that was sent may have to be paid for."""
    held = threading.Event()

    def answer(asked: Mapping[str, str]) -> Reply:
        held.wait(10)
        return echo(asked)

    async def leave(this: Web) -> None:
        asking = asyncio.create_task(this.get({"q": "x"}))
        while not server.asked:
            await asyncio.sleep(0.001)
        await this.close()
        await asyncio.sleep(0)
        assert asking.cancelled()
        held.set()

    with serve(answer) as server:
        this = web(server.url, tmp_path, paid=True, price=0.5)
        asyncio.run(leave(this))
    assert this.meter.lost_usd == 0.5


def test_event_loops_may_come_and_go(tmp_path: Path) -> None:
    with serve(echo) as server:
        this = web(server.url, tmp_path)
        assert [get(this, q=str(number))["q"] for number in range(4)] == ["0", "1", "2", "3"]
        assert len(this._sessions) == 1


def test_a_caller_that_is_cancelled_loses_nothing(tmp_path: Path) -> None:
    gate = threading.Event()

    async def give_up(this: Web) -> dict[str, Any]:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(this.get({"q": "x"}), 0.05)
        gate.set()
        return await this.get({"q": "x"})

    with serve(lambda asked: Reply({"q": "x"}, after=gate)) as server:
        assert asyncio.run(give_up(web(server.url, tmp_path))) == {"q": "x"}
        assert len(server.asked) == 1


@pytest.mark.parametrize("fault", [
    Reply("slow down", 429, {"Retry-After": "0"}), Reply({}, 500), Reply("<html>", 503), Reply(drop=True),
    Reply("\n<html>Maintenance</html>"),
    Reply({"bad": "passing"}), Reply({}, 408)])
def test_a_passing_fault_is_repeated_and_never_kept(tmp_path: Path, fault: Reply) -> None:
    with serve(script(fault, fault, Reply({"found": 1}))) as server:
        this = web(server.url, tmp_path, retries=1)
        with pytest.raises(ToolUnavailable, match=r"^Test .*; start the same command again later to go on$"):
            get(this, q="x")
        assert len(server.asked) == 2
        assert get(this, q="x") == {"found": 1}
        assert len(server.asked) == 3


def test_the_server_says_when_to_come_back(tmp_path: Path) -> None:
    """With a back-off of an hour this ends soon only because the server asks for less, or for more than patience."""
    later = Reply({"error": "hourly limit"}, 429, {"Retry-After": "3600"})
    with serve(script(Reply({}, 429, {"Retry-After": "0"}), Reply({"found": 1}), later)) as server:
        this = web(server.url, tmp_path, backoff=3600, patience=7200)
        assert get(this, q="a") == {"found": 1}
        this.patience = 60
        with pytest.raises(ToolUnavailable, match=r"hourly limit \(and wants no request for 3600 seconds\); start"):
            get(this, q="b")
        assert len(server.asked) == 3


def test_seconds_to_wait() -> None:
    def after(**span: int) -> str:
        return format_datetime(datetime.now(timezone.utc) + timedelta(**span), usegmt=True)

    assert [retry_after(text) for text in (None, "0", " 7 ", "-3", "soon", "²", "Wed, 99 Foo", after(hours=-1))] == [
        None, 0.0, 7.0, None, None, None, None, 0.0]
    assert 3500 < (retry_after(after(hours=1)) or 0) <= 3600


@pytest.mark.parametrize(("reply", "kind", "sentence"), [
    (Reply({"error": "Invalid API key."}, 401), ConfigError, r"Test refuses the key in \$TEST_KEY: Invalid API key\."),
    (Reply("Please set a\nuser-agent", 403), ConfigError, "refuses the key in .*: 'Please set a user-agent'"),
    (Reply({"error": {"code": 3, "message": "no such thing"}}, 404), ConfigError,
     "Test answered with status 404: no such thing; check base_url=http://127"),
    (Reply("", 302, {"Location": "/login"}), ConfigError, "Test answered with status 302: ''; check base_url="),
    (Reply("Welcome"), ConfigError, "without a JSON object, got 'Welcome'; check base_url="),
    (Reply(["a"]), ConfigError, "without a JSON object"),
    (Reply("[" * 100_000), ConfigError, "without a JSON object"),
    (Reply({"bad": "quota"}, 429), ToolUnavailable, "is quota"),
    (Reply({"bad": "model"}), ToolError, "is model"),
])
def test_other_faults_are_told_at_once_and_never_kept(tmp_path: Path, reply: Reply, kind: type[Exception],
                                                      sentence: str) -> None:
    with serve(script(reply, Reply({"found": 1}))) as server:
        this = web(server.url, tmp_path)
        with pytest.raises(kind, match=sentence) as failure:
            get(this, q="x")
        assert "\n" not in str(failure.value)
        assert len(server.asked) == 1
        assert get(this, q="x") == {"found": 1}


def test_silence_and_absence_are_named(tmp_path: Path) -> None:
    gate = threading.Event()
    with serve(lambda asked: Reply(after=gate)) as server:
        with pytest.raises(ToolUnavailable, match=r"Test did not answer within 0\.1 seconds; start"):
            get(web(server.url, tmp_path, timeout=0.1, retries=0), q="x")
        gate.set()
    with pytest.raises(ToolUnavailable, match="Test cannot be reached: All connection attempts failed; start"):
        get(web("http://127.0.0.1:9/", tmp_path), q="x")


def test_an_answer_that_drips_is_given_up(tmp_path: Path) -> None:
    """There is a sign of life all the time, and never an end."""
    with (serve(lambda asked: Reply(" ", drip=True)) as server,
          pytest.raises(ToolUnavailable, match=r"Test did not answer within 0\.3 seconds; start")):
        get(web(server.url, tmp_path, timeout=0.3, retries=0), q="x")


@pytest.mark.parametrize("reply", [
    Reply("x" * 100_000, drip=True), Reply(gzip.compress(b"0" * 50_000_000), headers={"Content-Encoding": "gzip"})])
def test_an_answer_is_read_up_to_a_bound_and_a_larger_one_not_kept(tmp_path: Path, reply: Reply) -> None:
    with serve(script(reply, Reply({"found": 1}))) as server:
        this = web(server.url, tmp_path)
        tracemalloc.start()
        with pytest.raises(ToolError, match=r"^Test answered with more than 2,000,000 bytes; ask for less$"):
            get(this, q="x")
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert most < 10 * LARGEST
        assert get(this, q="x") == {"found": 1}


@pytest.mark.parametrize(("reply", "seen"), [
    (Reply("[" * 100_000), "[" * 100_000), (Reply(b"\xffa", headers={"Content-Type": "text/plain"}), "\ufffda"),
    (Reply(b"\xe4", headers={"Content-Type": "text/plain; charset=latin-1"}), "ä"),
    (Reply("61", headers={"Content-Type": "text/plain; charset=hex"}), "61"),
    (Reply("xn--", headers={"Content-Type": "text/plain; charset=idna"}), "xn--")])
def test_any_text_is_an_answer_where_texts_are(tmp_path: Path, reply: Reply, seen: str) -> None:
    with serve(script(reply)) as server:
        assert asyncio.run(web(server.url, tmp_path, texts=True).text({})) == seen


def test_what_is_no_text_is_told_and_not_kept(tmp_path: Path) -> None:
    image = Reply(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", headers={"Content-Type": "image/png"})
    with serve(script(image, Reply({"found": 1}))) as server:
        this = web(server.url, tmp_path, texts=True)
        with pytest.raises(ToolError, match=r"^Test answered with 'image/png', which is no text; ask for some"):
            get(this, q="x")
        assert get(this, q="x") == {"found": 1}


@pytest.mark.parametrize("url", ["serpapi.com/search", "ftp://x/", "http://x:port/", ""])
def test_what_is_no_address_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match=r"is no address; write e\.g\. https://"):
        get(web(url, tmp_path), q="x")


@pytest.mark.parametrize(("key", "sentence"), [
    (None, "^Test needs a key: set the environment variable TEST_KEY$"), (" \n", "needs a key"),
    ("secret\nkey", "holds a line break or a letter that no key has"), ("sécret-key", "a letter that no key has")])
def test_a_key_that_is_missing_or_none_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str | None,
                                               sentence: str) -> None:
    monkeypatch.delenv("TEST_KEY")
    if key is not None:
        monkeypatch.setenv("TEST_KEY", key)
    with pytest.raises(ConfigError, match=sentence) as failure:
        get(web("http://127.0.0.1:9/", tmp_path), q="x")
    assert "cret" not in str(failure.value)


def test_a_damaged_cache_is_named(tmp_path: Path) -> None:
    (tmp_path / "web.sqlite").write_text("no database " * 500)
    with pytest.raises(DataError, match=r"web\.sqlite, where answers are kept, cannot be used \(file is not a"):
        get(web("http://127.0.0.1:9/", tmp_path), q="x")


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    with serve(lambda asked: Reply({"long": "x" * 300_000})) as server:
        this = web(server.url, tmp_path)
        get(this, q="first")
        with files_up_to(400_000), pytest.raises(DataError, match=r"cannot be used .*; make room on the disk"):
            get(this, q="second")
        assert get(web(server.url, tmp_path), q="first")


CHILD = """
import asyncio, sys
from pathlib import Path
from fireact.web import Web

async def main():
    this = Web(name="Test", url=sys.argv[1], cache=Path(sys.argv[2]) / "web.sqlite", judge=lambda *answer: None)
    for number in range(int(sys.argv[3])):
        await this.get({"q": str(number)})
        print(number, flush=True)

asyncio.run(main())
"""


def child(url: str, folder: Path, n: int) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-c", CHILD, url, str(folder), str(n)], cwd=ROOT, text=True,
                            stdout=subprocess.PIPE)


def test_what_a_killed_process_was_told_is_kept(tmp_path: Path) -> None:
    with serve(echo) as server:
        process = child(server.url, tmp_path, 100_000)
        assert process.stdout
        told = [process.stdout.readline().strip() for _ in range(5)]
        process.send_signal(signal.SIGKILL)
        told += process.stdout.read().split()
        process.wait()
        process.stdout.close()
        before = len(server.asked)
        this = web(server.url, tmp_path)
        assert [get(this, q=number)["q"] for number in told] == told
        assert len(server.asked) == before


def test_several_processes_share_a_cache(tmp_path: Path) -> None:
    with serve(echo) as server:
        processes = [child(server.url, tmp_path, 30) for _ in range(3)]
        assert [process.communicate()[0].split()[-1] for process in processes] == ["29"] * 3
        before = len(server.asked)
        assert [get(web(server.url, tmp_path), q=str(number))["q"] for number in (0, 29)] == ["0", "29"]
        assert len(server.asked) == before


def test_the_first_answer_stands(tmp_path: Path) -> None:
    with serve(echo) as server:
        one, other = web(server.url, tmp_path), web(server.url, tmp_path)
        assert one._kept.put("u", "p", "first") == "first"
        assert other._kept.put("u", "p", "second") == "first"
