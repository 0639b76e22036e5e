"""Jobs against a loopback endpoint: faults, budgets, tapes, several workers, and what is told of them."""

import os
import re
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from fireact.errors import DataError
from fireact.loopback import Faults, serve
from fireact.play.played import digest
from fireact.play.records import Records
from fireact.sections import Budget, Caps, Sampling, Taping
from tests.play.helper import Play

PRICES = {"price_in": 1.0, "price_out": 1.0}
"""US dollars a million tokens."""


def played(job: Play) -> str:
    """Play, which must go well; return what was said."""
    code, said = job.play()
    assert code == 0, said
    return said


def refused(job: Play) -> str:
    """Play, which must end in one sentence; return it."""
    code, said = job.play()
    assert code == 2, said
    assert "Traceback" not in said
    (sentence,) = [line for line in said.splitlines() if line.startswith("error: ")]
    return sentence


def test_all_episodes_complete_under_faults(tmp_path: Path) -> None:
    faults = Faults(delay=0.01, rate_limited=0.05, error=0.02, dropped=0.01, malformed=0.01, stalled=0.01,
                    retry_after=0.02)
    with serve(faults) as server:
        job = Play(tmp_path, server.url, n=100, concurrency=16, model={"timeout": 3.0, **PRICES})
        said = played(job)
        kinds = server.stats.faults
        assert kinds["rate_limited"]
        assert kinds["error"]
        repeated = re.search(r"(\d+) sent again", said)
        assert repeated
        assert int(repeated[1]) >= sum(kinds.values())
        # No question was asked more often than its faults made necessary.
        assert server.stats.answered == 300
        assert server.stats.repeated == 0
    assert all(record.score.em == 1 for record in job.records())


def test_a_rerun_costs_nothing_and_other_workers_find_the_tape(tmp_path: Path) -> None:
    with serve() as server:
        job = Play(tmp_path, server.url, n=12, model=PRICES)
        played(job)
        before, requests = digest(job.records()), server.stats.requests
        (job.folder / "trajectories.jsonl").unlink()
        said = played(job)
        assert server.stats.requests == requests
        assert "36 from the tape, US$ " in said
        assert " saved" in said
        assert digest(job.records()) == before
        server.faults.down_after = 0
        (job.folder / "trajectories.jsonl").unlink()
        job.tape = Taping(mode="strict")
        played(job)
        assert digest(job.records()) == before


def test_strict_says_what_differs(tmp_path: Path) -> None:
    with serve() as server:
        job = Play(tmp_path, server.url, n=3)
        played(job)
        (job.folder / "trajectories.jsonl").unlink()
        job.tape, job.model = Taping(mode="strict"), {"temperature": 0.5}
        text = refused(job)
    assert "temperature" in text
    assert "0.0 recorded, 0.5 asked" in text


def test_record_asks_anew_but_not_twice(tmp_path: Path) -> None:
    with serve() as server:
        first = Play(tmp_path, server.url, n=4)
        played(first)
        first.folder.rename(tmp_path / "generate" / "other")
        again = Play(tmp_path, server.url, n=4, tape=Taping(mode="record"))
        played(again)
        # The same job name records the same; only another job's records are asked anew.
        assert server.stats.requests == 12
        with sqlite3.connect(tmp_path / "tape.sqlite") as db:
            db.execute("UPDATE calls SET job = 'another'")
        (again.folder / "trajectories.jsonl").unlink()
        played(again)
        assert server.stats.requests == 24


def test_without_a_tape_nothing_is_kept(tmp_path: Path) -> None:
    with serve() as server:
        played(Play(tmp_path, server.url, n=3, tape=Taping(mode="off")))
    assert not (tmp_path / "tape.sqlite").exists()


@pytest.mark.parametrize(("cap", "word"), [
    (Caps(calls=30), "budget.run.calls=30"), (Caps(tokens=3_000), "budget.run.tokens=3000"),
    (Caps(usd=0.003), "budget.run.usd=0.003"),
])
def test_a_budget_stops_cleanly_and_a_higher_one_goes_on(tmp_path: Path, cap: Caps, word: str) -> None:
    with serve(Faults(delay=0.005)) as server:
        job = Play(tmp_path, server.url, n=40, concurrency=8, model=PRICES, budget=Budget(run=cap))
        text = refused(job)
        assert word in text
        assert "is reached" in text
        if cap.calls:
            assert server.stats.answered <= cap.calls
            assert server.stats.answered > cap.calls - 8
        asked, early = server.stats.answered, len(Records(job.folder).places)
        assert early < 40
        job.budget, job.run = Budget(), "again"
        played(job)
        assert server.stats.repeated == 0
        assert server.stats.answered == 120
        assert asked < 120
    assert len(job.records()) == 40


def test_a_price_that_is_unknown_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    with serve() as server:
        text = refused(Play(tmp_path, server.url, n=2, budget=Budget(day=Caps(usd=1))))
        assert "a budget in US dollars is set" in text
        assert server.stats.requests == 0


def test_the_day_is_capped_over_several_runs(tmp_path: Path) -> None:
    with serve() as server:
        budget = Budget(day=Caps(calls=20))
        for number in range(3):
            job = Play(tmp_path / str(number), server.url, n=3, model=PRICES, run=f"run{number}",
                       budget=budget.model_copy(update={"ledger": tmp_path / "ledger.sqlite"}))
            if number < 2:
                played(job)
            else:
                assert "budget.day.calls=20" in refused(job)
        assert server.stats.answered == 20


def test_several_workers_play_each_question_once(tmp_path: Path) -> None:
    with serve(Faults(delay=0.01)) as server:
        jobs = [Play(tmp_path, server.url, n=60, concurrency=4, run=f"worker{number}") for number in range(3)]
        processes = [job.start() for job in jobs]
        said = [process.communicate(timeout=120)[0] for process in processes]
        assert [process.returncode for process in processes] == [0, 0, 0], said
        assert server.stats.repeated == 0
        assert server.stats.answered == 180
    records = Records(jobs[0].folder)
    assert (jobs[0].folder / "trajectories.jsonl").read_text().count("\n") == 60
    assert [name[0] for name in records.places] == [f"q{number}" for number in range(60)]


def test_a_worker_that_dies_is_replaced_by_the_others(tmp_path: Path) -> None:
    with serve(Faults(delay=0.02)) as server:
        jobs = [Play(tmp_path, server.url, n=40, concurrency=4, run=f"worker{number}") for number in range(2)]
        first, second = jobs[0].start(), jobs[1].start()
        while server.stats.answered < 30:
            assert first.poll() is None
        first.kill()
        first.communicate(timeout=60)
        said, _ = second.communicate(timeout=120)
        assert second.returncode == 0, said
        assert server.stats.repeated <= 2 * 4
    assert [record.id for record in jobs[1].records()] == [f"q{number}" for number in range(40)]


def test_attempts_are_other_samples_and_end_with_the_first_right_one(tmp_path: Path) -> None:
    with serve() as server:
        several = Play(tmp_path / "a", server.url, n=4, sampling=Sampling(attempts=3), model={"temperature": 0.7})
        played(several)
        assert len(several.records()) == 12
        assert [(record.id, record.attempt) for record in several.records()][:4] == [
            ("q0", 0), ("q0", 1), ("q0", 2), ("q1", 0)]
        assert len({body["seed"] for body in server.bodies}) == 3
        until = Play(tmp_path / "b", server.url, n=4, sampling=Sampling(attempts=3, until_correct=True),
                     model={"temperature": 0.7})
        played(until)
        assert [record.attempt for record in until.records()] == [0] * 4


def test_it_stops_once_enough_are_kept(tmp_path: Path) -> None:
    with serve(Faults(delay=0.005)) as server:
        job = Play(tmp_path, server.url, n=200, concurrency=2,
                   sampling=Sampling(kept=10, filters=["finished", "correct"]))
        assert ": 10 of 10 kept, 10 of up to 200 played, 100% right" in played(job)
        assert server.stats.answered == 3 * 10
    assert [record.id for record in job.records()] == [f"q{number}" for number in range(10)]


def test_an_endpoint_that_is_away_for_a_while_is_waited_for(tmp_path: Path) -> None:
    with serve(Faults(down_after=20, down_for=1.5)) as server:
        job = Play(tmp_path, server.url, n=20)
        played(job)
        assert server.stats.answered == 60


def test_a_bad_key_stops_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-wrong-and-secret")
    with serve(Faults(key="right")) as server:
        text = refused(Play(tmp_path, server.url, n=50, model={"key_env": "MY_KEY"}))
        assert "refuses the key in $MY_KEY" in text
        assert "sk-wrong-and-secret" not in text
        assert server.stats.requests <= 8


def test_a_conversation_that_outgrows_the_window_and_a_filter_are_reasons_to_stop(tmp_path: Path) -> None:
    with serve(Faults(window=30, filtered="word3?")) as server:
        job = Play(tmp_path, server.url, n=6)
        assert "how they ended: 5 context, 1 filter; the last failure: http" in played(job)
    assert Counter(record.stop.value for record in job.records()) == {"context": 5, "filter": 1}


def test_usr1_tells_where_every_episode_stands(tmp_path: Path) -> None:
    with serve(Faults(delay=0.3)) as server:
        job = Play(tmp_path, server.url, n=8)
        process = job.start()
        while server.stats.answered < 3:
            assert process.poll() is None
            time.sleep(0.001)
        process.send_signal(signal.SIGUSR1)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert re.search(r"    q\d: \d replies, waiting for the model for [\d.]+ s, begun [\d.]+ s ago", said)


def test_a_damaged_tape_is_told_kept_and_gone_without_only_when_told(tmp_path: Path) -> None:
    (tmp_path / "tape.sqlite").write_bytes(b"no tape " * 1000)
    with serve() as server:
        job = Play(tmp_path, server.url, n=2)
        assert "tape.sqlite" in refused(job)
        assert (tmp_path / "tape.sqlite").read_bytes() == b"no tape " * 1000
        assert server.stats.requests == 0
        job.tape = Taping(mode="off")
        played(job)


def test_records_that_lack_are_named(tmp_path: Path) -> None:
    job = Play(tmp_path, "http://127.0.0.1:9/v1", n=2)
    job.command()
    with pytest.raises(DataError, match=r"has 0 of the 2 that are wanted; run stage=generate first"):
        job.records()


def test_the_live_table_on_a_terminal(tmp_path: Path) -> None:
    """A real pseudo-terminal, on which Enter is typed."""
    import pty

    with serve(Faults(delay=0.2)) as server:
        job = Play(tmp_path, server.url, n=8)
        main, side = pty.openpty()
        process = subprocess.Popen(job.command(), stdin=side, stdout=side, stderr=side, start_new_session=True,
                                   env={**os.environ, "NO_PROXY": "127.0.0.1", "TERM": "xterm", "COLUMNS": "120"},
                                   preexec_fn=lambda: _control(side))
        os.close(side)
        shown, typed = b"", False
        while True:
            try:
                part = os.read(main, 4096)
            except OSError:
                break
            if not part:
                break
            shown += part
            if not typed and server.stats.answered >= 3:
                os.write(main, b"\n")
                typed = True
        assert process.wait(60) == 0
        os.close(main)
    assert b"done / playing / failed" in shown
    assert b"waiting for the model" in shown


def _control(side: int) -> None:
    import fcntl
    import termios

    fcntl.ioctl(side, termios.TIOCSCTTY, 0)


def test_what_ends_out_of_reach_again_and_again_ends_the_work(tmp_path: Path) -> None:
    """An endpoint that breaks each answer off: no more is begun, and what was played is kept."""
    with serve(Faults(malformed=1.0, patience=100)) as server:
        job = Play(tmp_path, server.url, n=30, concurrency=1, sampling=Sampling(attempts=2),
                   model={"retries": 0, "temperature": 0.5})
        said = refused(job)
        assert re.search(r"error: 30 of 30 questions could not be played, what was played is kept; start the same "
                         r"command again to go on: .* answered with JSON that breaks off", said)
        assert server.stats.requests < 12
        server.faults.malformed = 0.0
        played(job)
    assert len(job.records()) == 60


def test_records_are_in_order_though_a_kill_came_before_that(tmp_path: Path) -> None:
    with serve() as server:
        job = Play(tmp_path, server.url, n=5)
        played(job)
        path = job.folder / "trajectories.jsonl"
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(reversed(lines)))
        asked = server.stats.requests
        played(job)
        assert server.stats.requests == asked
    assert path.read_text() == "".join(lines)
