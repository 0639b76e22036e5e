"""The endpoint that fails as it is told: asked over real connections, with every fault looked at from outside."""

import asyncio
import json
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from http.client import HTTPConnection, HTTPResponse, IncompleteRead, RemoteDisconnected
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from fireact.errors import ConfigError
from fireact.loopback import Faults, Served, serve
from fireact.loopback.faults import DRAWN, digest_of
from tests.helpers import ROOT

CHAT, TEXT = "/chat/completions", "/completions"


def chat(*contents: str, **options: Any) -> dict[str, Any]:
    """A request whose messages are of the user and of the model in turns."""
    messages = [{"role": "assistant" if number % 2 else "user", "content": content}
                for number, content in enumerate(contents)]
    return {"model": "scripted", "messages": messages, **options}


@contextmanager
def sent(url: str, path: str, body: Any = None, method: str = "POST", **headers: str) -> Iterator[HTTPResponse]:
    """The answer to a request on a connection of its own, which lasts as long as the block."""
    place = urlsplit(url)
    connection = HTTPConnection(str(place.hostname), place.port, timeout=60)
    try:
        connection.request(method, place.path + path, body if isinstance(body, str) else json.dumps(body), headers)
        yield connection.getresponse()
    finally:
        connection.close()


def ask(url: str, path: str, body: Any = None, method: str = "POST", **headers: str) -> tuple[int, dict[str, Any]]:
    with sent(url, path, body, method, **headers) as response:
        return response.status, json.loads(response.read())


def said(url: str, *contents: str, **options: Any) -> str:
    status, answer = ask(url, CHAT, chat(*contents, **options))
    assert status == 200, answer
    return answer["choices"][0]["message"]["content"]


def error(url: str, body: dict[str, Any], **headers: str) -> tuple[int, str, str]:
    """The status, code and text of an error, which has OpenAI's form."""
    status, answer = ask(url, CHAT, body, **headers)
    assert set(answer) == {"error"}
    assert set(answer["error"]) == {"message", "type", "param", "code"}
    return status, answer["error"]["code"], answer["error"]["message"]


def root(server: Served) -> str:
    return server.url.removesuffix("/v1")


def counted(server: Served) -> dict[str, Any]:
    return ask(root(server), "/stats", method="GET")[1]


def test_it_plays_a_question_by_chat() -> None:
    talk = ["Who was the first?", "Thought: a\nAction: finish[first]", "What is the capital of Bhutan?"]
    with serve() as server:
        for expected in ("Thought: I need to look up step 1.\nAction: search[Bhutan 1]",
                         "Thought: I need to look up step 2.\nAction: search[Bhutan 2]",
                         "Thought: I know it.\nAction: finish[Bhutan]", "Thought: I know it.\nAction: finish[Bhutan]"):
            assert said(server.url, *talk) == expected
            talk += [expected, "Observation: Is it so?"]
        assert server.bodies[0] == chat(*talk[:3])
        assert server.stats.requests == server.stats.answered == len(server.bodies) == 4


def test_it_plays_a_question_by_completions() -> None:
    prompt = "Answer.\nQuestion: One?\nThought: a\nAction: finish[One]\n\nQuestion: Who wrote Emma?\n"
    with serve(rounds=2) as server:
        for expected in ("search[Emma 1]", "finish[Emma]"):
            status, answer = ask(server.url, TEXT, {"model": "scripted", "prompt": prompt})
            text = answer["choices"][0]["text"]
            assert (status, text.partition("\nAction: ")[2]) == (200, expected)
            prompt += f"{text}\nObservation: Action: none.\n"
        assert said(server.url, "A question in its own words?", stop=["x"]).endswith("[words 1]")


def test_an_answer_has_the_form_of_openai() -> None:
    with serve() as server, sent(server.url, CHAT, chat("Two words?")) as response:
        answer = json.load(response)
        assert response.headers["Content-Type"] == "application/json"
        assert response.headers["x-ratelimit-limit-requests"] == "10000"
        assert response.headers["x-ratelimit-remaining-requests"] == "9999"
        text = answer["choices"][0]["message"]["content"]
        assert answer["usage"] == {"prompt_tokens": 2, "completion_tokens": len(text.split()),
                                   "total_tokens": 2 + len(text.split())}
        assert (answer["object"], answer["model"]) == ("chat.completion", "scripted")
        assert (answer["choices"][0]["finish_reason"], answer["choices"][0]["index"]) == ("stop", 0)
        assert isinstance(answer["id"], str)
        assert isinstance(answer["created"], int)
        assert ask(server.url, TEXT, {"model": "scripted", "prompt": ""})[1]["object"] == "text_completion"


def test_replies_end_at_the_stop_sequence() -> None:
    with serve() as server:
        assert said(server.url, "Why?", stop="\nAction") == "Thought: I need to look up step 1."
        assert said(server.url, "Why?", stop=["step", "", " look"]) == "Thought: I need to"
        assert said(server.url, "Why?", stop=None).endswith("Action: search[Why 1]")


def test_parts_of_a_message_and_odd_requests() -> None:
    parts = {"model": "scripted", "messages": [{"role": "user", "content": [{"type": "text", "text": "Of Peru?"}]}]}
    with serve() as server:
        assert ask(server.url, CHAT, parts)[1]["choices"][0]["message"]["content"].endswith("search[Peru 1]")
        assert said(server.url, "") == "Thought: I need to look up step 1.\nAction: search[nothing 1]"
        for body in ("{", "[]", "\xff", {"model": "scripted"}, {"model": "scripted", "messages": ["x"]}):
            assert ask(server.url, CHAT, body)[0] == 400
        assert ask(server.url, TEXT, {"model": "scripted", "prompt": [1, 2]})[0] == 400
        assert ask(server.url, "/embeddings", {})[0] == ask(server.url, CHAT, method="GET")[0] == 404


def test_each_question_gets_its_own_answer_on_hundreds_of_connections() -> None:
    async def work(url: str) -> None:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            async def one(number: int) -> str:
                async with session.post(url + CHAT, json=chat(f"Which is w{number}?")) as response:
                    return (await response.json())["choices"][0]["message"]["content"]

            for _ in range(3):
                replies = await asyncio.gather(*map(one, range(connections)))
                assert [reply.rpartition(" search")[2] for reply in replies] == [
                    f"[w{number} 1]" for number in range(connections)]

    # Both ends are files of this process.
    connections = min(300, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4)
    with serve(rounds=9) as server:
        asyncio.run(work(server.url))
        assert server.stats.answered == 3 * connections
        assert server.stats.repeated == 2 * connections


def outcome(url: str, body: dict[str, Any]) -> str:
    """What a request met, told by what its client sees."""
    try:
        with sent(url, CHAT, body) as response:
            json.loads(response.read())
            return str(response.status)
    except RemoteDisconnected:
        return "dropped"
    except json.JSONDecodeError:
        return "malformed"


def test_the_same_requests_meet_the_same_faults_in_any_order() -> None:
    def outcomes(seed: int, numbers: list[int]) -> dict[int, list[str]]:
        found: dict[int, list[str]] = {number: [] for number in numbers}
        with serve(Faults(rate_limited=0.2, error=0.2, dropped=0.2, malformed=0.2, seed=seed)) as server:
            for number in numbers * 4:
                found[number].append(outcome(server.url, chat(f"Which is {number}?")))
        return found

    first = outcomes(0, list(range(30)))
    assert first == outcomes(0, list(range(29, -1, -1)))
    assert first != outcomes(1, list(range(30)))
    assert {kind for kinds in first.values() for kind in kinds} == {"200", "429", "500", "dropped", "malformed"}
    assert all(kinds[3] == "200" for kinds in first.values())
    assert not all(kinds[0] == kinds[1] for kinds in first.values())


def test_the_draw_is_the_same_on_every_machine() -> None:
    faults = Faults(rate_limited=0.2, error=0.2, dropped=0.2, malformed=0.1, stalled=0.1, slow=0.5)
    drawn = [faults.draw(digest_of(chat(f"Which is {number}?", temperature=0.5)), number % 3) for number in range(12)]
    assert " ".join(f"{fault}{'/slow' * slow}" for fault, slow in drawn) == (
        "stalled/slow None/slow None/slow None/slow None error/slow dropped rate_limited dropped error None None")


def test_a_retry_passes_in_the_end_however_it_is_spaced() -> None:
    with serve(Faults(error=1.0)) as server:
        body = chat("Why?")
        spaced = [json.dumps(body, indent=indent) for indent in (None, 1, 2, 3, 4)]
        assert [ask(server.url, CHAT, each)[0] for each in spaced] == [500, 500, 500, 200, 200]
        assert ask(server.url, CHAT, chat("Why then?"))[0] == 500
        server.faults.patience = 0
        assert ask(server.url, CHAT, chat("And why?"))[0] == 200


def test_shares_are_met() -> None:
    shares: dict[str, Any] = {"rate_limited": 0.1, "error": 0.05, "dropped": 0.1, "malformed": 0.05, "stalled": 0.1}

    async def work(url: str) -> None:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=20)) as session:
            await asyncio.gather(*(one(session, url, number) for number in range(2000)))

    async def one(session: aiohttp.ClientSession, url: str, number: int) -> None:
        try:
            async with session.post(url + CHAT, json=chat(f"Which is {number}?")) as response:
                # Half of a good reply is all of one that is cut off, and all that comes of one that stalls.
                await response.content.readexactly(int(response.headers["Content-Length"]) // 2)
                seen[response.status] += 1
                response.close()
        except aiohttp.ServerDisconnectedError:
            seen["dropped"] += 1

    seen: Counter[int | str] = Counter()
    with serve(Faults(**shares, slow=0.2)) as server:
        asyncio.run(work(server.url))
        met = server.stats.faults
    for fault, share in shares.items():
        assert met[fault] == pytest.approx(2000 * share, rel=0.2)
    good = server.stats.answered
    assert met["slow"] == pytest.approx(good * 0.2, rel=0.2)
    assert good == 2000 - sum(met[fault] for fault in DRAWN)
    assert seen == {200: good + met["malformed"] + met["stalled"], 429: met["rate_limited"], 500: met["error"],
                    "dropped": met["dropped"]}


def test_a_rate_limited_request_is_told_when_to_come_back() -> None:
    with serve(Faults(rate_limited=1.0, retry_after=0.25)) as server:
        with sent(server.url, CHAT, chat("Why?")) as response:
            assert (response.status, response.headers["Retry-After"]) == (429, "0.25")
        assert error(server.url, chat("Why?"))[1] == "rate_limit_exceeded"


def test_an_inner_error_has_a_text() -> None:
    with serve(Faults(error=1.0)) as server:
        assert error(server.url, chat("Why?")) == (500, None, "The server had an error while processing your request.")
        assert server.stats.faults == {"error": 1}


def test_a_connection_is_dropped_without_an_answer() -> None:
    with serve(Faults(dropped=1.0)) as server:
        with pytest.raises(RemoteDisconnected), sent(server.url, CHAT, chat("Why?")):
            pass
        assert server.stats.answered == 0


def test_json_is_cut_off() -> None:
    with serve(Faults(malformed=1.0)) as server, sent(server.url, CHAT, chat("Why?")) as response:
        answer = response.read()
        assert response.status == 200
        assert answer.startswith(b'{"id": ')
        assert len(answer) == int(response.headers["Content-Length"])
        with pytest.raises(json.JSONDecodeError):
            json.loads(answer)


def half(response: HTTPResponse) -> bytes:
    """What comes of a reply that stalls."""
    return response.read(int(response.headers["Content-Length"]) // 2)


def test_a_stalled_reply_lasts_until_the_server_ends() -> None:
    with serve(Faults(stalled=1.0)) as server:
        with sent(server.url, CHAT, chat("Why?")) as response:
            assert half(response).startswith(b'{"id": ')
        waiting = sent(server.url, CHAT, chat("Why not?"))
        response = waiting.__enter__()
        assert (response.status, len(half(response)) > 100) == (200, True)
        assert server.stats.faults == {"stalled": 2}
        assert server.stats.answered == 0
    with pytest.raises((IncompleteRead, ConnectionError)):
        response.read()
    waiting.__exit__(None, None, None)


def test_a_client_that_leaves_makes_room() -> None:
    with serve(Faults(stalled=1.0, capacity=2)) as server:
        with sent(server.url, CHAT, chat("One?")) as one, sent(server.url, CHAT, chat("Two?")) as two:
            assert half(one)
            assert half(two)
            server.faults.stalled = 0.0
            with sent(server.url, CHAT, chat("Three?")) as three:
                assert (three.status, three.headers["Retry-After"]) == (429, "0.05")
                assert json.load(three)["error"]["code"] == "rate_limit_exceeded"
            assert ask(server.url, "/models", method="GET")[0] == 200
        while ask(server.url, CHAT, chat("Three?"))[0] == 429:
            pass
        assert server.stats.most_at_once == 2
        assert server.stats.faults["capacity"] >= 1
        assert server.stats.answered == 1


def test_replies_take_their_time() -> None:
    with serve(Faults(delay=0.01, slow=1.0, slowness=5.0)) as server:
        before = time.monotonic()
        said(server.url, "Why?")
        assert time.monotonic() - before >= 0.049
        assert server.stats.faults == {"slow": 1}


def test_it_goes_down_once() -> None:
    with serve(Faults(down_after=2, down_for=1e6)) as server:
        assert [ask(server.url, CHAT, chat(word))[0] for word in "abcd"] == [200, 200, 503, 503]
        assert ask(server.url, "/models", method="GET")[0] == 503
        assert ask(root(server), "/stats", method="GET")[0] == 200
        server.faults.down_for = 0.0
        assert [ask(server.url, CHAT, chat(word))[0] for word in "abcd"] == [200] * 4
        assert server.stats.faults == {"down_after": 3}


def test_a_wrong_key_is_repeated() -> None:
    with serve(Faults(key="right-key")) as server:
        status, code, text = error(server.url, chat("Why?"), Authorization="Bearer wrong-key")
        assert (status, code, "wrong-key" in text) == (401, "invalid_api_key", True)
        assert error(server.url, chat("Why?"))[0] == ask(server.url, "/models", method="GET")[0] == 401
        assert ask(server.url, CHAT, chat("Why?"), Authorization="Bearer right-key")[0] == 200
        assert server.stats.faults == {"key": 3}


def test_only_its_models_are_there() -> None:
    with serve(Faults(models=("a", "b"))) as server:
        assert error(server.url, chat("Why?", model="c"))[:2] == (404, "model_not_found")
        assert ask(server.url, CHAT, chat("Why?", model="b"))[1]["model"] == "b"
        listed = ask(server.url, "/models", method="GET")[1]
        assert [model["id"] for model in listed["data"]] == ["a", "b"]


def test_what_no_repetition_mends_is_refused() -> None:
    with serve(Faults(refuse_stop=True, window=5, filtered="forbidden")) as server:
        assert error(server.url, chat("Why?", stop=["x"])) == (
            400, "unsupported_parameter", "Unsupported parameter: 'stop' is not supported with this model.")
        assert said(server.url, "one two three four five?", stop=None)
        assert error(server.url, chat("one two three", "four", "five six"))[:2] == (400, "context_length_exceeded")
        assert error(server.url, chat("a forbidden word"))[:2] == (400, "content_filter")
        assert server.stats.faults == {"refuse_stop": 1, "window": 1, "filtered": 1}


def test_it_may_think_first() -> None:
    with serve(Faults(thinks=True)) as server:
        text = said(server.url, "Why?")
        assert text.startswith("<think>\n")
        assert text.partition("</think>\n\n")[2] == "Thought: I need to look up step 1.\nAction: search[Why 1]"


def test_what_is_paid_twice_is_counted() -> None:
    with serve(Faults(error=1.0, patience=1)) as server:
        statuses = [ask(server.url, CHAT, chat(word))[0] for word in ("a", "b", "a", "a", "b", "a")]
        assert statuses == [500, 500, 200, 200, 200, 200]
        assert counted(server) == {"requests": 6, "answered": 4, "tokens": 4 * (1 + 11), "repeated": 2,
                                   "most_at_once": 1, "faults": {"error": 2}}
        assert ask(root(server), "/stats/reset")[1] == counted(server)
        assert (server.stats.requests, server.stats.tokens, server.stats.faults) == (0, 0, {})
        assert [ask(server.url, CHAT, chat("a"))[0] for _ in range(2)] == [500, 200]
        assert server.stats.repeated == 0


def test_servers_are_apart() -> None:
    with serve() as one, serve() as other:
        one.faults.error = 1.0
        assert ask(other.url, CHAT, chat("Why?"))[0] == 200
        assert ask(one.url, CHAT, chat("Why?"))[0] == 500
        assert len(one.bodies) == len(other.bodies) == 1


@pytest.mark.parametrize(("wrong", "sentence"), [
    ({"error": 1.5}, "error is a share of the requests, from 0 to 1, not 1.5"),
    ({"slow": float("nan")}, "slow is a share of the requests, from 0 to 1, not nan"),
    ({"error": 0.6, "stalled": 0.6}, "together are a share of the requests, at most 1, not 1.2"),
    ({"delay": float("inf")}, "delay is a number of at least 0, not inf"),
    ({"capacity": -1}, "capacity is a whole number of at least 0, not -1"),
    ({"models": ()}, "models is empty; name at least one"),
])
def test_values_that_make_no_sense_are_refused(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        Faults(**wrong)


def test_a_port_is_had_by_one() -> None:
    with serve() as server:
        port = int(server.url.split(":")[2].partition("/")[0])
        with pytest.raises(ConfigError, match=f"port {port} cannot be had: Address already in use"), serve(port=port):
            pass


def command(*options: str) -> list[str]:
    return [sys.executable, "-m", "fireact.loopback", *options]


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_the_command_serves_until_it_is_told_to_end(signum: signal.Signals) -> None:
    options = ("--port", "0", "--rounds", "1", "--models", "a", "b", "--key", "k", "--thinks", "--stalled", "0")
    process = subprocess.Popen(command(*options), cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout
    line = process.stdout.readline()
    assert line.startswith("serving on http://127.0.0.1:")
    url = line.split()[2]
    status, answer = ask(url, CHAT, chat("Why me?", model="b"), Authorization="Bearer k")
    assert (status, answer["choices"][0]["message"]["content"].endswith("finish[me]")) == (200, True)
    process.send_signal(signum)
    out, complaints = process.communicate()
    assert (process.returncode, complaints) == (0, "")
    assert json.loads(out)["answered"] == 1


def test_the_command_ends_while_a_reply_is_stalled() -> None:
    process = subprocess.Popen(command("--port", "0", "--stalled", "1"), cwd=ROOT, text=True, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    assert process.stdout
    url = process.stdout.readline().split()[2]
    with sent(url, CHAT, chat("Why?")) as response:
        assert half(response)
        process.send_signal(signal.SIGTERM)
        out, complaints = process.communicate()
    assert (process.returncode, complaints) == (0, "")
    assert json.loads(out)["faults"] == {"stalled": 1}


def test_bad_options_end_in_a_sentence() -> None:
    with serve() as server:
        port = server.url.split(":")[2].partition("/")[0]
        for options in (("--port", port), ("--port", "70000"), ("--error", "1.5"), ("--rounds", "0")):
            done = subprocess.run(command(*options), cwd=ROOT, capture_output=True, text=True)
            assert (done.returncode, done.stdout) == (2, "")
            assert done.stderr.startswith("error: ")
            assert done.stderr.count("\n") == 1


def test_every_fault_has_an_option_with_a_help() -> None:
    done = subprocess.run(command("--help"), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0
    for each in fields(Faults):
        assert f"--{each.name.replace('_', '-')}" in done.stdout
    assert "Seconds before every good reply. (default: 0.0)" in done.stdout
