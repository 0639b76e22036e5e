"""The journal: whatever is killed, and whenever what is offline is synced, W&B gets each point once."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import example, given, settings
from hypothesis import strategies as st

from fireact.tracking.journal import Journal


@dataclass
class Wandb:
    """What W&B does with points: a server that counts, and folders that are added to it when they are synced."""

    folder: Path
    server: list[int] = field(default_factory=list)
    offline: dict[str, list[int]] = field(default_factory=dict)

    def sync(self) -> None:
        """Send all folders that are there and were not sent, in their order."""
        for name, points in self.offline.items():
            place = self.folder / name
            if place.is_dir() and not (place / "x.synced").exists():
                self.server += points
                (place / "x.synced").touch()


@dataclass
class Start:
    """One process: it forwards all steps up to `last`, and may be killed when `kept` of what it sent were written."""

    online: bool
    more: int
    killed: bool
    kept: float
    synced: bool
    """Whether `wandb sync` is run after it, which is not while W&B's process may still write."""


def play(wandb: Wandb, path: Path, number: int, last: int, this: Start) -> None:
    """Do what open_mirror does, with this W&B."""
    journal = Journal.read(path)
    first = journal.first_missing(len(wandb.server) if this.online else None)
    if first is None:
        return
    name = f"{'run' if this.online else 'offline-run'}-{number}"
    journal.start(name, this.online, first, len(wandb.server) if this.online else 0)
    sent = [point.values["step"] for point in journal.points[first:]]
    for step in range(last):
        if journal.add("train", {"step": step, "loss": 0.5}):
            sent.append(step)
    arrived = sent[:round(this.kept * len(sent))] if this.killed else sent
    if this.online:
        wandb.server += arrived
    else:
        wandb.offline[name] = arrived
        (wandb.folder / name).mkdir()
    if not this.killed:
        journal.end()


starts = st.lists(st.builds(Start, online=st.booleans(), more=st.integers(0, 4), killed=st.booleans(),
                            kept=st.floats(0, 1), synced=st.booleans()), max_size=8)


@given(starts)
@example([Start(False, 2, False, 1, False), Start(True, 2, True, 0, False), Start(False, 1, False, 1, True)])
@settings(max_examples=300)
def test_each_point_arrives_once(todo: list[Start]) -> None:
    with TemporaryDirectory() as folder:
        wandb, path, last = Wandb(Path(folder)), Path(folder) / "id.jsonl", 0
        for number, this in enumerate([*todo, Start(online=True, more=1, killed=False, kept=1, synced=True)]):
            last += this.more
            play(wandb, path, number, last, this)
            # A folder that was cut off may lack what its process had not written yet; see the test below.
            if this.synced and not this.killed:
                wandb.sync()
        assert sorted(wandb.server) == list(range(last))


def test_what_a_start_left_offline_is_deleted_and_written_again(tmp_path: Path) -> None:
    journal = Journal.read(tmp_path / "id.jsonl")
    journal.start("offline-run-1", False, 0, 0)
    journal.add("train", {"step": 1})
    (tmp_path / "offline-run-1").mkdir()
    assert Journal.read(journal.path).first_missing(None) == 0
    assert not (tmp_path / "offline-run-1").exists()


def test_what_was_cut_off_and_synced_counts_as_sent(tmp_path: Path) -> None:
    journal = Journal.read(tmp_path / "id.jsonl")
    journal.start("offline-run-1", False, 0, 0)
    journal.add("train", {"step": 1})
    (tmp_path / "offline-run-1").mkdir()
    (tmp_path / "offline-run-1" / "run-id.wandb.synced").touch()
    assert Journal.read(journal.path).first_missing(None) == 1
    assert (tmp_path / "offline-run-1").exists()


def test_a_step_counts_once_and_a_line_without_a_step_by_all_that_it_says(tmp_path: Path) -> None:
    journal = Journal.read(tmp_path / "id.jsonl")
    lines = [{"step": 1, "loss": 0.5}, {"step": 1, "loss": 0.25}, {"step": 1, "validation_loss": 0.5},
             {"played": 1, "em": 0.5}, {"played": 1, "em": 0.5}, {"played": 1, "em": 0.25}]
    assert [journal.add("train", line) for line in lines] == [True, False, True, True, False, True]
    assert [Journal.read(journal.path).add("train", line) for line in lines] == [False] * 6
    assert journal.add("other", lines[0])


def test_half_a_line_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "id.jsonl"
    path.write_text(json.dumps({"stage": "train", "values": {"step": 1}}) + '\n{"stage": "train", "va')
    journal = Journal.read(path)
    assert len(journal.points) == 1
    assert journal.add("train", {"step": 2})
    assert len(Journal.read(path).points) == 2


def test_artifacts_count_once_their_start_has_ended(tmp_path: Path) -> None:
    journal = Journal.read(tmp_path / "id.jsonl")
    journal.start("run-1", True, 0, 0)
    journal.artifact("adapter:1")
    assert Journal.read(journal.path).artifacts == set()
    journal.start("run-2", True, 0, 0)
    journal.artifact("adapter:2")
    journal.end()
    assert Journal.read(journal.path).artifacts == {"adapter:2"}
