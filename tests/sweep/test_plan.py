"""What a sweep is said to take before anything runs, and how far it is: from the command line."""

import json
from pathlib import Path

import pytest

from fireact.play.claims import Claims
from fireact.store import FAILED
from tests.play.helper import write_questions
from tests.test_forecast import passages

GRID = ("model=tiny_a,tiny_b", "strategy=react,cot,reflexion", "curate.n=4,6", "seed=0,1", "generate.n=12",
        "curate.validation=2", "curate.filters=[finished,correct]", "evaluate.n=3", "evaluate.parity.check=false")
"""24 cells. The scripted teacher is one for both students; sets are one for both, tokens are each student's own."""


@pytest.fixture
def grid(tiny_options: Path) -> tuple[str, ...]:
    return ("-m", "--config-dir", str(tiny_options), *GRID)


def rows(output: str, caption: str) -> dict[str, list[str]]:
    """A table of the terminal's, by the first word of its rows."""
    lines = output[output.index(caption):].splitlines()[2:]
    table = lines[: lines.index("")] if "" in lines else lines
    return {line.split("  ")[0].strip(): line.split("  ", 1)[1].split() for line in table if "  " in line}


def test_the_exact_counts_of_shared_stages(run_main, grid, tmp_path: Path) -> None:
    done = run_main(*grid, "stage=plan")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("24 cells → 6 generations, 12 sets, 24 trainings, 36 evaluations; 0 done\n")
    shared = rows(done.stdout, "What the cells share")
    assert {name: cells[:3] for name, cells in shared.items()} == {
        "generations": ["24", "6", "0"], "sets": ["24", "12", "0"], "tokenised sets": ["24", "24", "0"],
        "trainings": ["24", "24", "0"], "evaluations": ["48", "36", "0"]}
    assert "24 trainings over sets that nobody has seen yet." in done.stdout
    assert not (tmp_path / "sweep").exists()


def test_what_is_done_running_and_failed(run_main, grid, tmp_path: Path, store: Path) -> None:
    assert run_main(*grid, "stage=generate", "strategy=react,cot", "model=tiny_a", "curate.n=4").returncode == 0
    played = sorted(store.glob("generate/*"))
    assert len(played) == 4
    # Somebody works on one that is not finished; another one failed.
    trajectories = [folder / "trajectories.jsonl" for folder in played[:2]]
    for file in trajectories:
        file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:5]))
    (played[1] / FAILED).write_text("the endpoint refuses the key\nand more\n")
    claims = Claims(played[0])
    assert claims.take(range(3))
    done = run_main(*grid, "stage=status")
    assert done.returncode == 0, done.stderr
    table = rows(done.stdout, "How far it is")
    assert table["generations"] == ["2", "1", "1", "2"]
    assert table["trainings"] == ["0", "0", "0", "24"]
    assert table["cells"] == ["0", "4", "4", "16"]
    told = " ".join(done.stdout.split())
    assert f"in {played[0]}, 5 of 12 played" in told
    assert f"in {played[1]}, 5 of 12 played: the endpoint refuses the key" in told
    assert "and more" not in told
    planned = run_main(*grid, "stage=plan").stdout
    claims.close()
    assert rows(planned, "What the cells share")["generations"] == ["24", "6", "2", "1", "1", "2"]
    left = {name: int(cells[0]) for name, cells in rows(planned, "What is left to be played").items() if name}
    assert left["factbook/react"] + left["factbook/cot"] == 2 * 7
    assert left["factbook/reflexion"] == 2 * 12


def test_an_option_that_only_evaluation_reads_trains_nothing_again(run_main, grid) -> None:
    keys = [run_main(*grid, "stage=plan", option).stdout.splitlines()[0] for option in ("evaluate.n=3", "evaluate.n=5")]
    assert keys[0] == keys[1]


@pytest.mark.parametrize(("options", "sentence"), [
    (("strategy=react,recat",), "strategy=recat does not exist (did you mean react?) (of the sweep's cell "
                                "strategy=recat)"),
    (("train.rank=8,-1",), "train.rank=-1 does not fit: input should be greater than or equal to 1 (of the sweep's "
                           "cell train.rank=-1)"),
    (("seed=0,1", "+nope=1"), "nope is not an option"),
    (("strategy=react,cot", "report.contrasts=[{axis: seed, first: 0, second: 1}]"),
     "report.contrasts names 'seed', along which a measurement is repeated"),
    (("stage=plan,generate", "seed=0,1"), "stage=generate,plan mixes what is only shown with what is done"),
])
def test_a_sweep_with_a_bad_value_is_refused_before_anything_runs(run_main, tmp_path: Path, options, sentence) -> None:
    stage = () if any(option.startswith("stage=") for option in options) else ("stage=generate",)
    done = run_main("-m", *stage, "generate.n=4", *options)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "sweep").exists()


def test_the_plan_says_which_differences_can_be_shown(run_main, tmp_path: Path) -> None:
    """Holm's family is over all datasets: the strategies and the student's guises on one, and on the other too."""
    write_questions(tmp_path / "test.jsonl", 100)
    done = run_main("-m", "stage=plan", "strategy=react,cot", "seed=0,1", "+dataset@held_out.other=table",
                    f"held_out.other.test={tmp_path}/test.jsonl", f"tool.corpus={passages(tmp_path)}",
                    "evaluate.n={factbook: 200, other: 100}")
    assert done.returncode == 0, done.stderr
    told = " ".join(done.stdout.split())
    assert "200 questions of factbook tell two cells apart with 80% power, 4 contrasts being planned, if they" in told
    assert "100 questions of other tell two cells apart with 80% power, 4 contrasts being planned, if they" in told


def test_cells_that_are_the_same_are_run_once(run_main, tmp_path: Path) -> None:
    done = run_main("-m", "stage=generate", "generate.n=4", "generate.split=train,train", "seed=0,1")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "sweep").iterdir() if path.is_dir()) == ["0", "1"]
    assert "sweep: 2 of 2 cells done" in done.stdout


def test_a_failed_cell_is_told_at_the_end(run_main, tmp_path: Path) -> None:
    """It is planned as one that cannot be run, the others are run all the same, and the exit code says so."""
    options = ("-m", "generate.n=4", "strategy.prompt=nowhere,factbook")
    planned = run_main(*options, "stage=plan")
    assert planned.returncode == 0
    assert "Cannot be run: strategy.prompt=nowhere: " in planned.stdout
    done = run_main(*options, "stage=generate")
    assert done.returncode == 2
    assert "sweep: 1 of 2 cells done" in done.stdout
    assert "[0] strategy.prompt=nowhere: strategy.prompt=nowhere" in done.stdout
    sweep = json.loads((tmp_path / "sweep" / "sweep.json").read_text())
    assert sweep["axes"] == {"strategy.prompt": ["nowhere", "factbook"]}
    assert [cell["error"] is None for cell in sweep["cells"]] == [False, True]
    assert json.loads((tmp_path / "sweep" / "1" / "manifest.json").read_text())["state"] == "done"


def test_a_sweep_has_the_same_name_whatever_is_done_about_it(run_main, tmp_path: Path) -> None:
    names = []
    for options in (("stage=generate", "seed=0,1"), ("stage=generate", "seed=0,1"), ("stage=generate", "seed=1,2")):
        assert run_main("-m", "generate.n=2", *options).returncode == 0
        names.append(json.loads((tmp_path / "sweep" / "sweep.json").read_text())["id"])
    assert names[0] == names[1] != names[2]
