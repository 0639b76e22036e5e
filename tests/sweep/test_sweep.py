"""A grid of 24 cells with real trainings: killed in the middle, gone on with by two sweeps at once, done only once."""

import json
import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from fireact.locks import locked
from tests.conftest import command, environment
from tests.helpers import ROOT

AXES = ("model=tiny_a,tiny_b", "strategy=react,cot,reflexion", "curate.n=4,6", "seed=0,1")
OPTIONS = ("generate.n=12", "curate.validation=2", "curate.filters=[finished,correct]", "train.batch_size=3",
           "evaluate.n=2", "evaluate.parity.check=false")
DISTINCT = {"generate": 6, "curate": 12, "tokenize": 24, "train": 24, "evaluate": 36}


class Sweeps:
    """Sweeps of one grid over one store."""

    def __init__(self, folder: Path, store: Path, options: Path) -> None:
        self.folder, self.store, self.options = folder, store, options

    def start(self, name: str, *more: str) -> "subprocess.Popen[str]":
        line = command(self.folder / name, self.store, "-m", "--config-dir", str(self.options), *AXES, *OPTIONS, *more)
        return subprocess.Popen(line, cwd=ROOT, env=environment(), text=True, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, start_new_session=True)

    def trained(self) -> set[str]:
        return {path.parent.name for path in self.store.glob("train/*/done.json")}

    def made(self, name: str) -> Counter[str]:
        """How many of each stage a sweep did itself."""
        stages = [stage for file in (self.folder / name / "sweep").glob("*/manifest.json")
                  for stage in json.loads(file.read_text())["stages"].items()]
        return Counter(label.split("/")[0] for label, stage in stages if not stage["reused"])


def ended(process: "subprocess.Popen[str]") -> str:
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output[-3000:]
    return output


@pytest.fixture(scope="module")
def sweeps(tmp_path_factory: pytest.TempPathFactory, shared_home: Path, tiny_options: Path) -> Sweeps:
    """Killed once six trainings are done; then two that go on at the same time."""
    folder = tmp_path_factory.mktemp("sweeps")
    (folder / "store").mkdir()
    (folder / "store" / "home").symlink_to(shared_home, target_is_directory=True)
    sweeps = Sweeps(folder, folder / "store", tiny_options)
    first = sweeps.start("first")
    while len(sweeps.trained()) < 6:
        assert first.poll() is None, first.communicate()[0][-3000:]
        time.sleep(0.05)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    # Its stage ends by itself once it sees that the sweep is gone.
    while any(locked(lock.parent) for lock in sweeps.store.glob("*/*/.lock")):
        time.sleep(0.1)
    sweeps.before = sweeps.trained()
    both = [sweeps.start(name) for name in ("second", "third")]
    sweeps.said = [ended(process) for process in both]
    return sweeps


def test_after_a_kill_two_sweeps_at_once_do_what_is_missing_once(sweeps: Sweeps) -> None:
    done = sweeps.made("second") + sweeps.made("third")
    assert 6 <= len(sweeps.before) < 24
    assert done["train"] == DISTINCT["train"] - len(sweeps.before)
    assert len(sweeps.trained()) == DISTINCT["train"]
    assert sweeps.made("second")["train"]
    assert sweeps.made("third")["train"]
    for stage in ("curate", "tokenize"):
        assert len(list(sweeps.store.glob(f"{stage}/*/done.json"))) == DISTINCT[stage]
    assert len(list(sweeps.store.glob("generate/*"))) == DISTINCT["generate"] + DISTINCT["evaluate"]
    for said in sweeps.said:
        assert "sweep: 24 of 24 cells done" in said


def test_then_all_is_done_and_an_option_of_the_evaluation_trains_nothing_again(sweeps: Sweeps) -> None:
    assert ended(sweeps.start("plan", "stage=plan")).startswith(
        "24 cells → 6 generations, 12 sets, 24 trainings, 36 evaluations; 24 done")
    more = ended(sweeps.start("plan", "stage=plan", "evaluate.n=3"))
    assert more.startswith("24 cells → 6 generations, 12 sets, 24 trainings, 36 evaluations; 0 done")
    rows = [line.split() for line in more.splitlines() if line.startswith(("trainings", "evaluations"))]
    assert rows == [["trainings", "24", "24", "24", "0", "0", "0"], ["evaluations", "48", "36", "0", "0", "0", "36"]]


def test_both_sweeps_tell_the_same(sweeps: Sweeps) -> None:
    """And their episodes are those of the same folders."""
    told = [[json.loads(line) for line in (sweeps.folder / name / "sweep" / str(cell) / "results.jsonl").open()]
            for name in ("second", "third") for cell in range(24)]
    assert told[:24] == told[24:]
    assert all(len(rows) == 4 for rows in told)
    assert sweeps.said[0].count("not distinguishable") >= 5
    page = (sweeps.folder / "second" / "sweep" / "report.html").read_text()
    assert "reflexion" in page
