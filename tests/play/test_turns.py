"""Turns: each attempt once, over any number of processes, and the same ones count whatever order they ended in."""

import asyncio
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fireact.jsonl import read_finished
from fireact.play import turns
from fireact.play.claims import Claims
from fireact.play.records import TRAJECTORIES, Name, Records
from fireact.play.turns import Plan, Turn, Turns
from fireact.sections import MOST_ATTEMPTS
from fireact.types import StopReason, Trajectory
from tests.episodes import record
from tests.helpers import ROOT

Ends = Callable[[Name], StopReason]
RIGHT = st.frozensets(st.tuples(st.sampled_from([f"q{number}" for number in range(5)]), st.integers(0, 2)))
"""The attempts that are right."""
PLANS = st.builds(lambda n, **rest: plan(n, **rest), st.integers(0, 5), attempts=st.integers(1, 3),
                  until_correct=st.booleans(), kept=st.none() | st.integers(1, 6))


def plan(n: int, **options: Any) -> Plan:
    return Plan([record(f"q{number}").question for number in range(n)], **options)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Empty folders, one an example."""
    root = tmp_path_factory.mktemp("turns")

    def fresh() -> Iterator[Path]:
        for number in count():
            (root / f"{number}").mkdir()
            yield root / f"{number}"

    return fresh()


def expected(wanted: Plan, right: frozenset[Name]) -> list[Name]:
    """Which attempts count in the end, from the definition."""
    names: list[Name] = []
    for question in wanted.questions:
        if wanted.kept is not None and len(right & set(names)) >= wanted.kept:
            break
        for attempt in range(wanted.attempts):
            names.append((question.id, attempt))
            if wanted.until_correct and names[-1] in right:
                break
    return names


async def play(wanted: Plan, records: Records, right: frozenset[Name], workers: int, draw: Callable[[int], int],
               ends: Ends = lambda name: StopReason.FINISHED) -> list[Name]:
    """Play as many turns at once as there are workers; `draw` says which ends next. Return what was played."""
    played: list[Name] = []
    under_way: list[asyncio.Event] = []

    async def worker() -> None:
        while (turn := await line.take()) is not None:
            under_way.append(asyncio.Event())
            await under_way[-1].wait()
            for attempt in wanted.left(turn, records):
                if attempt in wanted.left(turn, records):
                    name = turn.question.id, attempt
                    played.append(name)
                    records.append(record(*name, em=float(name in right), stop=ends(name)))
                    records.refresh()
            line.give_back(turn)

    with closing(Claims(records.folder)) as claims:
        line = Turns(wanted, records, claims)
        tasks = [asyncio.create_task(worker()) for _ in range(workers)]
        while not all(task.done() for task in tasks):
            for _ in range(4 * workers):
                await asyncio.sleep(0)  # All get as far as they can.
            if under_way:
                under_way.pop(draw(len(under_way))).set()
            else:
                await asyncio.sleep(0.001)
        await asyncio.gather(*tasks)
    return played


@settings(max_examples=200)
@given(wanted=PLANS, right=RIGHT, workers=st.integers(1, 4), data=st.data())
def test_the_same_attempts_count_whatever_order_they_end_in(folders: Iterator[Path], wanted: Plan,
                                                            right: frozenset[Name], workers: int,
                                                            data: st.DataObject) -> None:
    with closing(Records(next(folders))) as records:
        for _ in range(data.draw(st.integers(0, 3))):
            name = f"q{data.draw(st.integers(0, 4))}", data.draw(st.integers(0, 2))
            records.append(record(*name, em=float(name in right)))
        records.refresh()
        before = set(records.places)
        played = asyncio.run(play(wanted, records, right, workers, lambda n: data.draw(st.integers(0, n - 1))))
        assert len(set(played)) == len(played), "each attempt once"
        assert not before & set(played)
        assert wanted.done(records)
        names = wanted.enough(records)
        assert names is not None
        if not before or not wanted.until_correct:
            assert names == expected(wanted, right)
        assert asyncio.run(play(wanted, records, right, workers, lambda n: 0)) == []


@given(wanted=PLANS, right=RIGHT, there=st.dictionaries(
    st.tuples(st.sampled_from([f"q{number}" for number in range(5)]), st.integers(0, 2)), st.booleans()))
def test_enough_and_done_agree_with_the_definition(folders: Iterator[Path], wanted: Plan, right: frozenset[Name],
                                                   there: dict[Name, bool]) -> None:
    """`there` says of each record whether it counts."""
    with closing(Records(next(folders))) as records:
        for name, counts in there.items():
            stop = StopReason.FINISHED if counts else StopReason.MODEL
            records.append(record(*name, em=float(name in right), stop=stop))
        records.refresh()
        played = {name for name, counts in there.items() if counts}
        kept, whole = 0, True
        for question in wanted.questions:
            if wanted.kept is not None and kept >= wanted.kept:
                break
            mine = [(question.id, attempt) for attempt in range(wanted.attempts)]
            solved = wanted.until_correct and played & right & set(mine)
            whole = whole and (bool(solved) or set(mine) <= played)
            kept += 1 if solved else len(played & right & set(mine))
        assert wanted.done(records) == whole == (wanted.enough(records) is not None)
        assert set(wanted.enough(records) or []) <= played


def test_turns_are_handed_out_in_order(tmp_path: Path) -> None:
    with closing(Records(tmp_path)) as records:
        played = asyncio.run(play(plan(3, attempts=2), records, frozenset(), 1, lambda n: 0))
    assert played == [(f"q{number}", attempt) for number in range(3) for attempt in range(2)]


def test_nothing_beyond_what_is_kept_is_begun(tmp_path: Path) -> None:
    right = frozenset((f"q{number}", 0) for number in (0, 2, 4, 5))
    with closing(Records(tmp_path)) as records:
        played = asyncio.run(play(plan(100, kept=3), records, right, 1, lambda n: 0))
    assert played == [(f"q{number}", 0) for number in range(5)]


def test_a_slow_first_question_is_waited_for_and_no_more_is_begun(tmp_path: Path) -> None:
    """It may be one of the three that are kept."""
    right = frozenset((f"q{number}", 0) for number in range(100))
    wanted = plan(100, kept=3)
    with closing(Records(tmp_path)) as records:
        played = asyncio.run(play(wanted, records, right, 2, lambda n: n - 1))
        assert played == [("q1", 0), ("q2", 0), ("q0", 0)]
        assert wanted.enough(records) == [("q0", 0), ("q1", 0), ("q2", 0)]


@given(wanted=PLANS, right=RIGHT, workers=st.integers(1, 6), data=st.data())
def test_no_more_is_kept_than_is_wanted(folders: Iterator[Path], wanted: Plan, right: frozenset[Name], workers: int,
                                        data: st.DataObject) -> None:
    """However many workers there are, but for the last question, which gets all of its attempts."""
    with closing(Records(next(folders))) as records:
        played = asyncio.run(play(wanted, records, right, workers, lambda n: data.draw(st.integers(0, n - 1))))
    if wanted.kept is not None:
        assert len(right & set(played)) < wanted.kept + wanted.attempts


def test_a_question_that_could_not_be_played_keeps_the_rest_from_being_enough(tmp_path: Path) -> None:
    right, wanted = frozenset((f"q{number}", 0) for number in range(9)), plan(9, kept=2)
    with closing(Records(tmp_path)) as records:
        played = asyncio.run(play(wanted, records, right, 1, lambda n: 0,
                                  lambda name: StopReason.MODEL if name[0] == "q0" else StopReason.FINISHED))
        assert played == [("q0", 0), ("q1", 0), ("q2", 0)]
        assert not wanted.done(records)
        assert asyncio.run(play(wanted, records, right, 1, lambda n: 0)) == [("q0", 0)]
        assert wanted.enough(records) == [("q0", 0), ("q1", 0)]


def test_what_could_not_be_played_is_played_again_the_next_time_only(tmp_path: Path) -> None:
    with closing(Records(tmp_path)) as records:
        failing = asyncio.run(play(plan(2), records, frozenset(), 1, lambda n: 0, lambda name: StopReason.TOOL))
        assert failing == [("q0", 0), ("q1", 0)]
        assert asyncio.run(play(plan(2), records, frozenset(), 1, lambda n: 0)) == failing
        assert asyncio.run(play(plan(2), records, frozenset(), 1, lambda n: 0)) == []


def test_attempts_end_with_the_first_right_one(tmp_path: Path) -> None:
    right, wanted = frozenset({("q0", 1), ("q1", 0)}), plan(3, attempts=3, until_correct=True)
    with closing(Records(tmp_path)) as records:
        played = asyncio.run(play(wanted, records, right, 2, lambda n: n - 1))
        assert Counter(id for id, _ in played) == {"q0": 2, "q1": 1, "q2": 3}
        assert wanted.enough(records) == [("q0", 0), ("q0", 1), ("q1", 0), ("q2", 0), ("q2", 1), ("q2", 2)]


@given(st.integers(0, 2), st.integers(0, MOST_ATTEMPTS - 1), st.integers(0, 2), st.integers(1, MOST_ATTEMPTS))
def test_turns_that_share_an_attempt_share_a_claim(one: int, attempt: int, other: int, attempts: int) -> None:
    question = record().question
    single, whole = Turn(question, one, range(attempt, attempt + 1)), Turn(question, other, range(attempts))
    assert bool(set(single.claim) & set(whole.claim)) == (one == other and attempt < attempts)


def test_each_record_is_judged_once(tmp_path: Path) -> None:
    """However many there are, a turn costs the same."""
    judged: list[str] = []
    wanted = plan(60, kept=50, keeps=lambda each: judged.append(each.id) or each.score.em == 1)
    right = frozenset((f"q{number}", 0) for number in range(0, 60, 2))
    with closing(Records(tmp_path)) as records:
        for number in range(20):
            records.append(record(f"q{number}"))
        records.refresh()
        asyncio.run(play(wanted, records, right, 4, lambda n: 0))
    assert Counter(judged) == {f"q{number}": 1 for number in range(60)}


def test_once_stopped_nothing_begins(tmp_path: Path) -> None:
    with closing(Records(tmp_path)) as records, closing(Claims(tmp_path)) as claims:
        line = Turns(plan(3), records, claims)
        assert asyncio.run(line.take()) is not None
        line.stopped = True
        assert asyncio.run(line.take()) is None


OTHER = """
import sys
from pathlib import Path
from fireact.play.claims import Claims
from fireact.play.records import Records
from tests.episodes import record
from tests.play.test_turns import plan
turn = list(plan(9).turns())[int(sys.argv[2])]
claims, records = Claims(Path(sys.argv[1])), Records(Path(sys.argv[1]))
print(claims.take(turn.claim), flush=True)
for line in sys.stdin:
    records.append(record(turn.question.id))
    claims.release(turn.claim)
    print("played", flush=True)
"""


@pytest.mark.parametrize("ending", ["played", "killed"])
def test_what_another_has_claimed_is_left_to_it_until_it_dies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                              ending: str) -> None:
    monkeypatch.setattr(turns, "POLL", 0.01)
    other = subprocess.Popen([sys.executable, "-c", OTHER, str(tmp_path), "1"], cwd=ROOT, text=True,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    tell, hear = other.stdin, other.stdout
    assert tell
    assert hear
    assert hear.readline() == "True\n"
    told: list[int] = []

    def others(number: int) -> None:
        told.append(number)
        if len(told) == 2 and ending == "killed":
            other.kill()
        if len(told) == 2 and ending == "played":
            tell.write("play\n")
            tell.flush()
            assert hear.readline() == "played\n"

    async def main(records: Records, claims: Claims) -> list[str]:
        line, found = Turns(plan(3), records, claims, others), []
        while (turn := await line.take()) is not None:
            found.append(turn.question.id)
            records.append(record(turn.question.id))
            line.give_back(turn)
        return found

    with closing(Records(tmp_path)) as records, closing(Claims(tmp_path)) as claims:
        assert asyncio.run(asyncio.wait_for(main(records, claims), 60)) == ["q0", "q2", *["q1"] * (ending == "killed")]
        records.refresh()
        assert plan(3).done(records)
    assert set(told) == {1}
    other.kill()
    other.communicate()


def test_what_another_has_just_finished_is_not_played_again(tmp_path: Path) -> None:
    with closing(Records(tmp_path)) as records, closing(Claims(tmp_path)) as claims:
        line = Turns(plan(2), records, claims)
        done = subprocess.run([sys.executable, "-c", OTHER, str(tmp_path), "0"], cwd=ROOT, text=True, input="play\n",
                              capture_output=True)
        assert done.stdout == "True\nplayed\n"
        turn = asyncio.run(line.take())
        assert turn is not None
        assert turn.question.id == "q1"


def test_with_enough_kept_only_the_questions_before_are_waited_for(tmp_path: Path) -> None:
    """Another process is at a question beyond those that count."""
    other = subprocess.Popen([sys.executable, "-c", OTHER, str(tmp_path), "5"], cwd=ROOT, text=True,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout
    assert other.stdout.readline() == "True\n"
    wanted, right = plan(9, kept=6), frozenset((f"q{number}", 0) for number in range(9))
    with closing(Records(tmp_path)) as records:
        records.append(record("q8"))
        records.refresh()
        asyncio.run(asyncio.wait_for(play(plan(9, kept=5), records, right, 2, lambda n: 0), 60))
        assert not records.played("q5")
        other.kill()
        other.communicate()
        assert asyncio.run(play(wanted, records, right, 1, lambda n: 0)) == [("q5", 0)]


PLAYER = """
import asyncio, os, sys, time
from pathlib import Path
from fireact.play import turns
from fireact.play.claims import Claims
from fireact.play.records import Records
from tests.episodes import record
from tests.play.test_turns import plan
turns.POLL = 0.01
folder, dies_after, dies = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[1], "dies")
while dies_after < 0 and not dies.exists():
    time.sleep(0.001)
wanted, records = plan(40, attempts=2), Records(folder)
line, played = turns.Turns(wanted, records, Claims(folder)), []

async def play(turn):
    await asyncio.sleep(0.001)
    if len(played) == dies_after:
        dies.touch()
        os.kill(os.getpid(), 9)
    for attempt in wanted.left(turn, records):
        played.append(attempt)
        records.append(record(turn.question.id, attempt, provenance={"by": os.getpid()}))
        records.refresh()
    line.give_back(turn)

async def main():
    await asyncio.gather(*(worker() for _ in range(4)))

async def worker():
    while (turn := await line.take()) is not None:
        await play(turn)

asyncio.run(main())
assert wanted.done(records)
"""


@pytest.mark.parametrize("dies_after", [0, 7])
def test_several_processes_play_each_attempt_once_though_one_is_killed(tmp_path: Path, dies_after: int) -> None:
    wanted = plan(40, attempts=2)
    started = [subprocess.Popen([sys.executable, "-c", PLAYER, str(tmp_path), str(after)], cwd=ROOT)
               for after in (dies_after, -1, -1)]
    assert [process.wait(60) for process in started] == [-signal.SIGKILL, 0, 0]
    found = list(read_finished(tmp_path / TRAJECTORIES, Trajectory))
    assert Counter((each.id, each.attempt) for each in found) == {
        (f"q{number}", attempt): 1 for number in range(40) for attempt in range(2)}
    with closing(Records(tmp_path)) as records:
        records.settle([(turn.question.id, attempt) for turn in wanted.turns() for attempt in turn.attempts])
    assert [each.id for each in read_finished(tmp_path / TRAJECTORIES, Trajectory)][:4] == ["q0", "q0", "q1", "q1"]
