"""`python -m fireact.tape`: what a tape holds, and the calls of some jobs given away."""

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fireact.jsonl import encode
from fireact.requests import Act
from fireact.tape.__main__ import main
from fireact.tape.request import Party, act_request
from fireact.types import Completion, Episode, Observation, Step
from tests.tape.calls import Asked, Opened, act, ask, recorded

NOISE = Party.of(tool={"_target_": "fireact.tool.noise.Noise", "tool": {"_target_": "fireact.tool.corpus.Corpus"}})
TUNED = Party.of(model={"_target_": "fireact.model.api.Api", "model": "gpt-x"}, adapter="0123456789abcdef")


def record(path: Path, job: str, calls: dict[Any, Any]) -> None:
    async def work() -> None:
        for request, answer in calls.items():
            await tape.once(request(), Asked(encode(answer)))

    with closing(Opened(path, "replay", job)) as tape:
        asyncio.run(work())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A tape of two jobs that have a message in common."""
    path, past = tmp_path / "tape.sqlite", (Step("act", "seen", tool="search", argument="y"),)
    record(path, "job-a", {
        lambda: ask("shots", "one"): Completion("yes", "stop", 100, 10, cost=0.25),
        lambda: ask("shots", "one", "yes", "more"): Completion("no", "stop", 200, 20, cost=0.5),
        lambda: act("Paris"): Observation("old"),
        lambda: act_request(NOISE, Act("search", "x", Episode("q"), past), stateless=False): Observation("None")})
    record(path, "job-b", {
        lambda: ask("shots", "two"): Completion("yes", "stop", 100, 10),
        lambda: ask("shots", "two", party=TUNED): Completion("yes\x1b[31m", "stop", 100, 10)})
    return path


def run(capsys: pytest.CaptureFixture[str], *argv: Any) -> tuple[int, str, str]:
    code = main([str(each) for each in argv])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_the_table_tells_who_was_asked_how_often(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, path)
    assert (code, err) == (0, "")
    rows = {line[:40].split("  ")[0]: line.split() for line in out.splitlines() if line}
    assert rows["made-up"][1] == "3"
    assert rows["made-up"][4:] == ["0.7500", "400", "/", "40"]
    assert rows["gpt-x + 0123456789abcdef"][3] == "1"
    assert rows["Noise of Corpus"][3] == "1"
    assert rows["Search"][1] == "1"
    assert rows["job-a"][1] == "4"
    assert rows["job-b"][1] == "2"
    assert out.splitlines()[0].startswith(f"{path}: 6 calls, ")
    assert out.splitlines()[0].endswith("version 1")


def test_json_tells_all(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, path, "--json")
    told = json.loads(out)
    assert code == 0
    assert told["whole"]["calls"] == 6
    assert told["whole"]["usd"] == 0.75
    assert told["bytes"] >= path.stat().st_size
    assert told["whole"]["first"] <= told["whole"]["last"]
    assert {party["name"]: party["calls"] for party in told["parties"]} == {
        "made-up": 3, "gpt-x + 0123456789abcdef": 1, "Noise of Corpus": 1, "Search": 1}
    assert told["jobs"]["job-b"] | {"first": "", "last": ""} == {
        "calls": 2, "first": "", "last": "", "usd": None, "prompt_tokens": 200, "completion_tokens": 20}


def test_an_empty_tape_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record(tmp_path / "tape.sqlite", "none", {})
    with closing(Opened(tmp_path / "tape.sqlite", "replay")) as tape:
        assert tape.file.reader
    assert run(capsys, tmp_path / "tape.sqlite")[1].count("\n") == 1
    assert json.loads(run(capsys, tmp_path / "tape.sqlite", "--json")[1])["whole"]["first"] == ""


def texts(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as db:
        return {text for text, in db.execute("SELECT text FROM texts")}


def test_a_jobs_calls_are_given_away(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, to = path.read_bytes(), path.with_name("paper.sqlite")
    code, out, _ = run(capsys, path, "--job", "job-a", "--to", to)
    assert code == 0
    assert "4 calls" in out
    assert f"tape.mode=strict tape.file={to}" in out
    assert path.read_bytes() == before
    assert recorded(to) == {name: answer for name, answer in recorded(path).items() if name[1] == "job-a"}
    assert texts(to) == {"user: shots", "user: one", "user: yes", "user: more", "Paris", "x", "search[y]: seen []"}
    told = json.loads(run(capsys, to, "--json")[1])
    assert {party["name"] for party in told["parties"]} == {"made-up", "Search", "Noise of Corpus"}
    assert sorted(each.name for each in path.parent.glob("paper*")) == ["paper.sqlite"]
    with closing(Opened(to, "strict", "another job")) as tape:
        assert asyncio.run(tape.once(act("Paris"), Asked())) == (encode(Observation("old")), True)


def test_several_jobs_are_given_away(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    to = path.with_name("paper.sqlite")
    assert run(capsys, path, "--job", "job-b", "job-a", "--to", to)[0] == 0
    assert recorded(to) == recorded(path)
    assert texts(to) == texts(path)


def test_what_is_being_written_is_copied_as_it_stands(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("DELETE FROM calls")
        assert run(capsys, path, "--job", "job-a", "--to", path.with_name("paper.sqlite"))[0] == 0
    assert len(recorded(path.with_name("paper.sqlite"))) == 4


def refused(capsys: pytest.CaptureFixture[str], *argv: Any) -> str:
    code, out, err = run(capsys, *argv)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    return err


def test_bad_input_is_one_sentence(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    to = path.with_name("paper.sqlite")
    assert "has no calls of the job 'job-c' (did you mean job-" in refused(capsys, path, "--job", "job-c", "--to", to)
    assert not list(path.parent.glob("paper*"))
    to.write_text("mine")
    assert "is there already" in refused(capsys, path, "--job", "job-a", "--to", to)
    assert to.read_text() == "mine"
    assert "is not a database" in refused(capsys, to)
    assert "is no file; check the path" in refused(capsys, path.with_name("nowhere"))
    assert "is no file; check the path" in refused(capsys, path.parent)
    assert "cannot be used" in refused(capsys, path, "--job", "job-a", "--to", to / "below a file")
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE calls SET answer = 'yes'")
    assert "that is no JSON; the file is damaged" in refused(capsys, path)


@pytest.mark.parametrize("half", [("--job", "job-a"), ("--to", "paper.sqlite")])
def test_a_job_and_a_target_go_together(path: Path, half: tuple[str, str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([str(path), *half])
    assert end.value.code == 2
