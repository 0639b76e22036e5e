"""Kills at random moments: no call that was answered is asked again, and the records are those of an undisturbed run.

The endpoint counts on its own side what was paid for, and what was paid for twice.
"""

import random
import signal
import sqlite3
import time
from collections import Counter
from pathlib import Path

import pytest

from fireact.database import Journal
from fireact.loopback import Faults, serve
from fireact.play.played import digest
from tests.play.helper import Play, kill_once

KILLS = 24
CONCURRENCY = 3
UNDER_WAY = 2 * CONCURRENCY
"""Calls at once that are not on the tape yet: requests, and answers that are being written."""


def on_tape(store: Path) -> int:
    """How many replies of the model are on the tape."""
    path = store / "tape.sqlite"
    if not path.exists():
        return 0
    with sqlite3.connect(path) as db:
        return db.execute("SELECT count(*) FROM calls WHERE request LIKE '{\"messages\"%'").fetchone()[0]


@pytest.mark.parametrize(("journal", "faults"),
                         [("wal", {}), ("delete", {"rate_limited": 0.05, "error": 0.03, "dropped": 0.03})],
                         ids=["sound", "faulty"])
def test_killed_at_random_moments(tmp_path: Path, journal: Journal, faults: dict[str, float]) -> None:
    draw = random.Random(4)
    with serve(Faults(delay=0.004, retry_after=0.01, **faults)) as server:
        undisturbed = Play(tmp_path / "undisturbed", server.url, n=60, concurrency=CONCURRENCY, journal=journal)
        code, said = undisturbed.play()
        assert code == 0, said
        calls = Counter(str(body) for body in server.bodies)
        server.bodies.clear()
        paid_before = server.stats.answered
        job = Play(tmp_path / "killed", server.url, n=60, concurrency=CONCURRENCY, journal=journal)
        kills = 0
        while kills < KILLS // 2:
            wanted = server.stats.answered + draw.randint(1, 12)
            if not kill_once(job.start(), lambda wanted=wanted: server.stats.answered >= wanted):
                break
            kills += 1
            # What was answered is on the tape, but for what was under way when the kill came.
            assert server.stats.answered - paid_before - on_tape(job.store) <= kills * UNDER_WAY
        code, said = job.play()
        assert code == 0, said
        assert kills == KILLS // 2
        asked = Counter(str(body) for body in server.bodies)
        assert asked.keys() == calls.keys()
        assert server.stats.answered - paid_before <= len(calls) + kills * UNDER_WAY
        assert on_tape(job.store) == len(calls) == 180
    assert digest(job.records()) == digest(undisturbed.records())
    lines = [(play.folder / "trajectories.jsonl").read_text().splitlines() for play in (job, undisturbed)]
    assert [line[:12] for line in lines[0]] == [line[:12] for line in lines[1]]
    assert [record.id for record in job.records()] == [f"q{number}" for number in range(60)]


def test_a_call_on_the_tape_is_never_asked_again(tmp_path: Path) -> None:
    """Between two starts nothing is under way: what the tape has then, the endpoint never sees again."""
    draw = random.Random(5)
    with serve(Faults(delay=0.003)) as server:
        job = Play(tmp_path, server.url, n=30, concurrency=1)
        seen = 0
        for _ in range(8):
            wanted = server.stats.answered + draw.randint(1, 8)
            if not kill_once(job.start(), lambda wanted=wanted: server.stats.answered >= wanted):
                break
            kept, seen = on_tape(tmp_path), seen + 1
            before = len(server.bodies)
            again = job.start()
            kill_once(again, lambda before=before: len(server.bodies) > before)
            # With one request at a time, at most the last one before the kill comes again.
            first, later = ({str(body) for body in part} for part in (server.bodies[:before], server.bodies[before:]))
            assert len(first & later) <= 2
            assert on_tape(tmp_path) >= kept
        code, said = job.play()
        assert code == 0, said
        assert seen
        # Two kills each time, with two episodes in play.
        assert server.stats.repeated <= 4 * seen
    assert all(record.score.em == 1 for record in job.records())


@pytest.mark.parametrize("blow", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_is_clean(tmp_path: Path, blow: int) -> None:
    with serve(Faults(delay=0.02)) as server:
        job = Play(tmp_path, server.url, n=40)
        process = job.start()
        while server.stats.answered < 20 and process.poll() is None:
            time.sleep(0.001)
        process.send_signal(blow)
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 130, said
        assert "Traceback" not in said
        assert "never" not in said
        code, said = job.play()
        assert code == 0, said
        assert server.stats.repeated <= 2 * job.concurrency
