"""Time and memory of opening a folder of 100,000 records, beside parsing every line; and what a miss on a tape takes.

    python -m bench.store

The records are made up, of about 3 KB each. The baseline parses a tenth of them with `jsonl.read_finished`; its figures
are that tenth's times ten. Memory is what a process of its own has grown by at its highest.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import write
from fireact.jsonl import encode, read_finished
from fireact.requests import Act, Ask
from fireact.types import Completion, Episode, Message, Question, Score, Step, StopReason, Trajectory

RECORDS, TENTH = 100_000, 10_000
CALLS = 50_000


def question(number: int) -> Question:
    """A question that tells its number."""
    return Question(f"q{number}", f"Which city lies at the mouth of river number {number}?", (f"city {number}",))


def record(number: int, words: list[str], draw: random.Random) -> Trajectory:
    """A made-up episode of three searches and an answer; two in three are right."""
    steps = []
    for _ in range(3):
        said = " ".join(draw.choices(words, k=25))
        steps += [Step("ask", f"Thought: {said}\nAction: search[{said[:30]}]", form="react", seconds=1.5,
                       completion=Completion(said, "stop", 1800, 42, 1500, 1.5, 0.004)),
                  Step("act", " ".join(draw.choices(words, k=45)), tool="search", argument=said[:30], ids=("7", "12"))]
    right = number % 3 > 0
    return Trajectory(f"q{number}", question(number), "react", tuple(steps), f"city {number}", StopReason.FINISHED,
                      Score(float(right), float(right)), None, 6.0, {"model": "made-up", "key": "0123456789abcdef"},
                      dataset="bench")


def make(path: Path, n: int) -> None:
    """Write records."""
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefghijklmnoprstuvwxyz", k=draw.randint(3, 9))) for _ in range(5000)]
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(f"{encode(record(number, words, draw))}\n" for number in range(n))


def measured(work: Callable[[], Any]) -> tuple[Any, float]:
    """Do something; return its result and the seconds it took."""
    started = time.perf_counter()
    return work(), time.perf_counter() - started


def peak() -> float:
    """The most memory that this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def ours(folder: Path) -> dict[str, float]:
    """Open the records as a run does, and see what is left to play."""
    from fireact.play.claims import Claims
    from fireact.play.records import Records
    from fireact.play.turns import Plan, Turns

    before = peak()
    records, opening = measured(lambda: Records(folder))
    memory = peak() - before
    questions = [question(number) for number in range(RECORDS)]
    plan, more = Plan(questions), Plan([*questions, question(RECORDS)])
    kept = Plan(questions, kept=RECORDS // 2)
    done, deciding = measured(lambda: plan.done(records))
    enough, judging = measured(lambda: kept.done(records))
    _, lining_up = measured(lambda: Turns(more, records, Claims(folder)))
    _, reading = measured(lambda: [records.read(f"q{number}") for number in range(0, RECORDS, 100)])
    assert done
    assert enough
    assert not more.done(records)
    return {"open_seconds": opening, "open_mb": memory, "done_seconds": deciding, "done_with_kept_seconds": judging,
            "turns_seconds": lining_up, "read_one_ms": 1000 * reading / (RECORDS // 100)}


def baseline(folder: Path) -> dict[str, float]:
    """Parse every line of the tenth, and keep what was parsed by its id."""
    before = peak()
    _, seconds = measured(lambda: {record.id: record for record in read_finished(folder / "tenth.jsonl", Trajectory)})
    return {"open_seconds": seconds * RECORDS / TENTH, "open_mb": (peak() - before) * RECORDS / TENTH}


def tape(folder: Path) -> dict[str, float]:
    """Write calls to a tape, and miss one on it."""
    import asyncio

    from fireact.errors import DataError
    from fireact.tape import Tape
    from fireact.tape.file import TapeFile
    from fireact.tape.request import Party, act_request, ask_request

    model, tool = Party.of(model={"_target_": "made.Up", "temperature": 0.0}), Party.of(tool={"_target_": "made.Tool"})
    draw, path = random.Random(0), folder / "tape.sqlite"

    async def answer() -> str:
        return json.dumps({"text": "x" * 300})

    async def episode(this: Tape, number: int) -> None:
        talk = [Message("user", question(number).text)]
        for _ in range(5):
            said, seen = (f"{draw.getrandbits(64)} ".ljust(size, "x") for size in (150, 250))
            await this.once(ask_request(model, Ask(tuple(talk), episode=Episode(f"q{number}"))), answer)
            await this.once(act_request(tool, Act("search", said[:40]), stateless=True), answer)
            talk += [Message("assistant", said), Message("user", seen)]

    async def fill() -> None:
        file, numbers = TapeFile(path), iter(range(CALLS // 10))
        this = Tape(file, "replay", "bench")

        async def worker() -> None:
            for number in numbers:
                await episode(this, number)

        await asyncio.gather(*(worker() for _ in range(64)))
        file.close()

    async def miss() -> None:
        file, unknown = TapeFile(path, only_read=True), Message("user", "Which city lies at the mouth of river 7?")
        try:
            await Tape(file, "strict").once(ask_request(model, Ask((unknown,))), answer)
        except DataError:
            file.close()

    _, filling = measured(lambda: asyncio.run(fill()))
    _, missing = measured(lambda: asyncio.run(miss()))
    return {"calls": CALLS, "write_ms_a_call": 1000 * filling / CALLS, "miss_seconds": missing,
            "bytes_a_call": path.stat().st_size / CALLS}


def fresh(name: str, folder: Path) -> dict[str, float]:
    """Measure in a process of its own, whose last line is the result."""
    done = subprocess.run([sys.executable, "-m", "bench.store", "--one", name, "--folder", str(folder)], text=True,
                          stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def main() -> None:
    """Measure all, or one part in this process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="a JSON file for the figures")
    parser.add_argument("--one", choices=("ours", "baseline", "tape"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps({"ours": ours, "baseline": baseline, "tape": tape}[options.one](options.folder)))
        return
    with tempfile.TemporaryDirectory(prefix="fireact-bench-") as name:
        folder = Path(name)
        make(folder / "trajectories.jsonl", RECORDS)
        make(folder / "tenth.jsonl", TENTH)
        size = (folder / "trajectories.jsonl").stat().st_size / RECORDS
        parts = {part: fresh(part, folder) for part in ("baseline", "ours", "tape")}
    ratios = {f"ratio_of_{key}": parts["ours"][key] / parts["baseline"][key] for key in ("open_seconds", "open_mb")}
    rounded = {part: {key: round(value, 4) for key, value in found.items()} for part, found in parts.items()}
    write({"records": RECORDS, "bytes_a_record": round(size), **rounded,
           **{key: round(value, 4) for key, value in ratios.items()}}, options.out)


if __name__ == "__main__":
    main()
