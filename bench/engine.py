"""How fast episodes are played against one endpoint: processor time a call, wall time beside the ideal, and faults.

    python -m bench.engine

500 episodes of 2 searches and an answer, against `fireact.loopback` in a process of its own, played as a run plays
them: with tape, ledger and records. Beside it a bare aiohttp loop, and the openai package's typed call, send the same
number of requests. Processor time is user and system time of the client while episodes are played, without imports.
`ideal` is the delays served, divided by how many are served at once.
"""

import argparse
import asyncio
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import write
from fireact.database import Journal

EPISODES = 500
RUNS = 3
FAULTS = ("--rate-limited", "0.05", "--error", "0.02", "--dropped", "0.01", "--malformed", "0.01", "--stalled", "0.01")


@contextmanager
def endpoint(*options: str) -> Iterator[str]:
    """Run the loopback endpoint until the block ends; yield its address."""
    server = subprocess.Popen([sys.executable, "-m", "fireact.loopback", "--port", "0", *options], text=True,
                              stdout=subprocess.PIPE)
    try:
        assert server.stdout
        found = re.search(r"http://\S+/v1", server.stdout.readline())
        assert found, "the endpoint did not start"
        yield found[0]
    finally:
        server.terminate()
        server.communicate(timeout=10)


def stats(url: str) -> dict[str, Any]:
    """What the endpoint counted."""
    import urllib.request

    with urllib.request.urlopen(f"{url.removesuffix('/v1')}/stats") as answer:
        return json.load(answer)


def questions(numbers: range) -> list[dict[str, str]]:
    """Questions whose answer is their last word, so that an answer to another one shows."""
    return [{"id": f"q{number}", "question": f"Which word comes last in this question, word{number}?",
             "answer": f"word{number}"} for number in numbers]


def job(url: str, folder: Path, concurrency: int, rounds: int, numbers: range, journal: Journal,
        **model: Any) -> tuple[Path, Path]:
    """Write the two files that a run gives to `python -m fireact.generate`."""
    from fireact.generate import PlayJob
    from fireact.play.engine import Settings
    from fireact.sections import Budget, Caps, Limits, Sampling, Taping

    place = folder / "generate" / "bench"
    place.mkdir(parents=True)
    data = folder / "questions.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in questions(numbers)))
    caps = Caps(usd=1e6, tokens=10**12, calls=10**9)
    settings = Settings(concurrency=concurrency, journal=journal, tape=Taping(), budget=Budget(run=caps, day=caps),
                        store=folder, run=str(folder), sweep=None)
    played = PlayJob(
        label="bench", task="bench", method="react", few_shot=False, split="test", seed=0, limits=Limits(), n=None,
        sampling=Sampling(), home=folder / "home", tool={"_target_": "fireact.loopback.echo.Echo"},
        model={"_target_": "fireact.model.api.Api", "model": "scripted", "base_url": url, "price_in": 1.0,
               "price_out": 1.0, "timeout": 2.0, **model},
        strategy={"_target_": "fireact.strategy.react.React", "max_rounds": rounds},
        dataset={"_target_": "fireact.dataset.table.Table", "test": str(data)})
    (folder / "engine.json").write_text(settings.model_dump_json())
    (place / "job.json").write_text(played.model_dump_json())
    return folder / "engine.json", place / "job.json"


def ours(url: str, concurrency: int, rounds: int, numbers: range = range(EPISODES), journal: Journal = "wal",
         **model: Any) -> dict[str, float]:
    """Play all episodes once, in this process, from an empty store."""
    from fireact import generate
    from fireact.play.records import Records

    folder = Path(tempfile.mkdtemp(prefix="fireact-bench-"))
    try:
        engine, path = job(url, folder, concurrency, rounds, numbers, journal, **model)
        with measured() as took:
            asyncio.run(generate.play_all(engine, [path]))
        records = Records(path.parent)
        read = [records.read(*name) for name in records.places]
        meter = [json.loads(line) for line in (path.parent / "metrics.jsonl").read_text().splitlines()][-1]
        return {**took, "calls": len(numbers) * rounds, "right": sum(record.score.em for record in read),
                "played": len(read), "sent_again": meter["repeated"], "hedged": meter["hedged"],
                "lost_usd": meter["at_most_lost_usd"], "usd": meter["usd"]}
    finally:
        shutil.rmtree(folder)


@contextmanager
def measured() -> Iterator[dict[str, float]]:
    """Measure wall and processor time of a block, in seconds."""
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    took: dict[str, float] = {}
    yield took
    after = resource.getrusage(resource.RUSAGE_SELF)
    took["wall"] = time.perf_counter() - started
    took["cpu"] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def conversation(number: int, said: int) -> list[dict[str, str]]:
    """What an episode has sent by its request number `said`."""
    talk = [{"role": "user", "content": f"Which word comes last in this question, word{number}?"}]
    for step in range(said):
        talk += [{"role": "assistant", "content": f"Thought: I need to look up step {step}.\nAction: search[x {step}]"},
                 {"role": "user", "content": f"Observation: Nothing is known about x {step}."}]
    return talk


async def bare(url: str, concurrency: int, rounds: int, n: int) -> None:
    """The same requests from a loop that does nothing else."""
    import aiohttp

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        async def ask(body: dict[str, Any]) -> None:
            async with session.post(f"{url}/chat/completions", json=body) as response:
                json.loads(await response.read())["choices"][0]["message"]["content"].strip()

        await _all(ask, concurrency, rounds, n)


async def lock_step(url: str, concurrency: int, rounds: int, n: int) -> None:
    """As FireAct's own code played: a chunk of episodes at once, each round waiting for the slowest of all."""
    import aiohttp

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        async def ask(number: int, said: int) -> None:
            body = {"model": "scripted", "messages": conversation(number, said), "max_tokens": 512}
            async with session.post(f"{url}/chat/completions", json=body) as response:
                json.loads(await response.read())["choices"][0]["message"]["content"].strip()

        for first in range(0, n, concurrency):
            chunk = range(first, min(first + concurrency, n))
            for said in range(rounds):
                await asyncio.gather(*(ask(number, said) for number in chunk))


async def typed(url: str, concurrency: int, rounds: int, n: int) -> None:
    """The same from the openai package's typed call."""
    from openai import AsyncOpenAI

    async with AsyncOpenAI(base_url=url, api_key="none") as client:
        async def ask(body: dict[str, Any]) -> None:
            answer = await client.chat.completions.create(**body)
            (answer.choices[0].message.content or "").strip()

        await _all(ask, concurrency, rounds, n)


async def _all(ask: Any, concurrency: int, rounds: int, n: int) -> None:
    waiting = iter(range(n))

    async def worker() -> None:
        for number in waiting:
            for said in range(rounds):
                await ask({"model": "scripted", "messages": conversation(number, said), "max_tokens": 512,
                           "temperature": 0.0, "stop": ["\nObservation"]})

    await asyncio.gather(*(worker() for _ in range(concurrency)))


PEERS = {"bare aiohttp": bare, "openai typed": typed, "lock-step": lock_step}


def peer(name: str, url: str, concurrency: int, rounds: int = 3, n: int = EPISODES) -> dict[str, float]:
    """Measure a baseline."""
    with measured() as took:
        asyncio.run(PEERS[name](url, concurrency, rounds, n))
    return {**took, "calls": n * rounds}


def one(scenario: str, url: str) -> dict[str, float]:
    """Run one scenario in this process."""
    name, concurrency, rounds = scenario.split("/")
    if name in PEERS:
        return peer(name, url, int(concurrency), int(rounds))
    options: dict[str, Any] = {"hedged": {"hedge": 3.0}, "journal=delete": {"journal": "delete"}}.get(name, {})
    ours(url, 4, int(rounds), range(EPISODES, EPISODES + 8), **options)  # Imports what is imported late.
    return ours(url, int(concurrency), int(rounds), **options)


def fresh(scenario: str, url: str) -> dict[str, float]:
    """Run one scenario in a process of its own, whose last line is the result."""
    done = subprocess.run([sys.executable, "-m", "bench.engine", "--one", scenario, "--url", url], text=True,
                          stdout=subprocess.PIPE, check=True, env={**os.environ, "PYTHONWARNINGS": "ignore"})
    return json.loads(done.stdout.strip().splitlines()[-1])


def compared(scenarios: list[str], ideal: float, *options: str) -> dict[str, Any]:
    """Run scenarios in turn, so that all meet the same noise, and return medians of each."""
    runs: dict[str, list[dict[str, float]]] = {scenario: [] for scenario in scenarios}
    for _ in range(RUNS):
        for scenario in scenarios:
            with endpoint(*options) as url:
                result = fresh(scenario, url)
                runs[scenario].append({**result, "asked_twice": stats(url)["repeated"]})
    found: dict[str, Any] = {"ideal_seconds": round(ideal, 3)}
    for scenario, results in runs.items():
        middle = {name: statistics.median(result[name] for result in results) for name in results[0]}
        found[scenario] = {
            "cpu_ms_a_call": round(1000 * middle["cpu"] / middle["calls"], 3), "wall_seconds": round(middle["wall"], 2),
            "wall_to_ideal": round(middle["wall"] / ideal, 2),
            **{name: middle[name] for name in middle if name not in ("cpu", "wall", "calls")}}
    return found


def main() -> None:
    """Measure all, or one scenario in this process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="a JSON file for the figures")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(one(options.one, options.url)))
        return
    calls = EPISODES * 3
    slow = 0.1 * (0.95 + 0.05 * 10)
    result = {
        "64 at once, 100 ms": compared(["fireact/64/3", "bare aiohttp/64/3", "openai typed/64/3"], calls * 0.1 / 64,
                                       "--delay", "0.1"),
        "journal=delete": compared(["journal=delete/64/3"], calls * 0.1 / 64, "--delay", "0.1"),
        "11 rounds": compared(["fireact/64/11", "bare aiohttp/64/11"], EPISODES * 11 * 0.1 / 64, "--delay", "0.1",
                              "--rounds", "11"),
        "256 at once, 400 ms": compared(["fireact/256/3", "bare aiohttp/256/3"], calls * 0.4 / 256, "--delay", "0.4"),
        "5% ten times slower": compared(["fireact/64/3", "hedged/64/3", "bare aiohttp/64/3", "lock-step/64/3"],
                                        calls * slow / 64, "--delay", "0.1", "--slow", "0.05"),
        "faults": compared(["fireact/64/3"], calls * 0.1 / 64, "--delay", "0.1", *FAULTS),
    }
    write(result, options.out)


if __name__ == "__main__":
    main()
