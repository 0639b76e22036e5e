"""Rounds in which the student is its own teacher."""

import json
import os
import signal
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fireact.checks import check
from fireact.errors import ConfigError, DataError
from fireact.generate import PlayJob
from fireact.improve import final_config, improve, need, round_config
from fireact.improve.rounds import best_of, ending, fallen
from fireact.improve.told import note
from fireact.jsonl import read_finished
from fireact.mixing import counts_beside
from fireact.order import upstream
from fireact.process import ChildFailed
from fireact.schema import Config
from fireact.stages import Stages
from fireact.tracking.identity import identify
from fireact.types import Trajectory
from tests.helpers import composed
from tests.test_pipeline import read_json, wait_until

SCORES = st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), min_size=1, max_size=8)


@given(SCORES, st.integers(1, 3))
def test_it_ends_where_so_many_rounds_in_a_row_were_worse_than_the_best(scores: list[float], patience: int) -> None:
    worse = 0
    while scores[-1 - worse] < max(scores):
        worse += 1
    assert fallen(scores, patience) == (worse >= patience)


@given(SCORES, st.integers(1, 8), st.integers(1, 3))
def test_rounds_end_once_and_the_best_is_one_of_them(scores: list[float], rounds: int, patience: int) -> None:
    """As they come in: the first ending counts, is there at the latest after all rounds, and no fall loses the best."""
    played = next((scores[:n] for n in range(1, len(scores) + 1) if ending(scores[:n], rounds, patience)), scores)
    assert len(played) <= rounds + 1
    best = best_of(played)
    assert played[best] == max(played)
    assert max(played) not in played[:best]
    assert len(played) - 1 - best <= max(patience, sum(score == max(played) for score in played) * patience)


@pytest.mark.parametrize(("scores", "patience", "ends"), [
    ([0.5], 1, False), ([0.0, 0.0], 1, False), ([0.5, 0.6, 0.7], 1, False), ([0.5, 0.4], 1, True),
    ([0.5, 0.4], 2, False), ([0.5, 0.4, 0.3], 2, True), ([0.5, 0.4, 0.5], 1, False), ([0.5, 0.4, 0.45], 2, True),
    ([0.5, 0.5, 0.4], 1, True)])
def test_a_round_that_is_as_good_as_the_best_is_no_fall(scores: list[float], patience: int, ends: bool) -> None:
    assert fallen(scores, patience) == ends


def test_of_its_own_there_are_at_most_so_many_for_each_of_the_teachers() -> None:
    cell = ("factbook", "own")
    assert counts_beside({cell: list(range(30))}, {cell: 0.5}, 20) == {cell: 10}
    assert counts_beside({cell: list(range(3))}, {cell: 0.5}, 20) == {cell: 3}
    with pytest.raises(DataError, match=r"own\.n or own\.attempts"):
        counts_beside({cell: []}, {cell: 0.5}, 20)
    assert counts_beside({}, {}, 20) == {}


def test_a_ratio_that_comes_to_nothing_is_told_as_that() -> None:
    cell = ("factbook", "own")
    with pytest.raises(DataError, match=r"raise own\.ratio"):
        counts_beside({cell: list(range(9))}, {cell: 0.01}, 20)


@pytest.fixture
def player(tmp_path: Path) -> Path:
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_config.json").write_text("{}")
    return folder


def test_a_round_plays_with_the_student_of_the_one_before(player: Path) -> None:
    config = composed("stage=improve", "improve.rounds=1", "improve.start=last")
    first, second = Stages(round_config(config, 0, None)), Stages(round_config(config, 1, player))
    assert set(first.plays) == {"react"}
    assert set(second.plays) == {"react", "own"}
    assert first.plays["react"].key() == second.plays["react"].key()
    job = second.plays["own"]
    assert (job.adapter, job.few_shot, job.model["temperature"], job.method) == (player, False, 0.7, "own")
    assert second.config.train["start_from"] == str(player)
    assert first.train.key() != second.train.key()


@pytest.mark.parametrize("options", [
    (), ("+dataset@held_out.bamboogle=bamboogle", "held_out.bamboogle.test=null"), ("strategy=skills",),
    ("evaluate.unseen=[train]",)])
def test_what_is_judged_at_the_end_is_what_the_round_trained(player: Path, options: tuple[str, ...]) -> None:
    """Under the same keys, and neither the questions that judge the rounds nor those of the end are trained on."""
    config = composed("stage=improve", "improve.rounds=1", *options)
    for number, plays in ((0, None), (1, player)):
        one, last = (Stages(made(config, number, plays)) for made in (round_config, final_config))
        assert one.curate.key() == last.curate.key()
        assert one.train.key() == last.train.key()
        assert {judged.split for judged in one.curate.evaluated if judged.task == "factbook"} >= {"validation", "test"}
        assert [(cell.dataset, cell.job.split) for cell in one.evaluations] == [("factbook", "validation")]
        assert {(cell.dataset, cell.job.split) for cell in last.evaluations} >= {("factbook", "test")}
        assert all(cell.job.library_key == one.evaluations[0].job.library_key for cell in last.evaluations)


def test_all_rounds_share_the_budget_of_the_start_and_of_the_sweep(tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    sweep.mkdir()
    (sweep / "multirun.yaml").touch()
    config = composed("stage=improve", "improve.rounds=1")
    first, last = (Stages(round_config(config, 0, None), start="now").engine(sweep / "3" / place)
                   for place in ("0", "test/1"))
    assert first.run == last.run == "now"
    assert first.sweep == last.sweep == str(sweep)
    assert first.worker != last.worker


def test_several_datasets_and_a_mix(player: Path, tmp_path: Path) -> None:
    """The student plays each dataset by the mix's way of asking, and a dataset that is left out is left out."""
    made = _questions(tmp_path / "some.jsonl", range(20))
    files = ", ".join(f"{split}: {made}" for split in ("train", "validation", "test"))
    table = f"{{_target_: fireact.dataset.table.Table, {files}, prompt: factbook}}"
    options = ("~dataset", f"+dataset={{parts: {{a: {table}, b: {table}}}}}", "strategy=react_cot_reflexion",
               "generate.n=9", "own.n=5", "improve.rounds=1", "improve.n={a: 4, b: 0}", "evaluate.n=4",
               f"tool.corpus={made}")
    config = composed("stage=improve", *options)
    stages = Stages(round_config(config, 1, player))
    own = {label: job for label, job in stages.plays.items() if job.method == "own"}
    assert set(own) == {"a/own", "b/own"}
    assert own["a/own"].strategy == config.strategy["parts"][config.strategy["play"]]
    assert [source.ratio for source in stages.curate.sources if source.method == "own"] == [1.0, 1.0]
    assert {cell.dataset for cell in stages.evaluations} == {"a"}
    assert stages.train.key() == Stages(final_config(config, 1, player)).train.key()
    alone = Stages(round_config(composed("stage=improve", *options, "generate.n={a: 9, b: 0}"), 1, player))
    assert [label for label, job in alone.plays.items() if job.method == "own"] == ["own"]


def test_a_hosted_student_plays_by_the_id_in_its_folder(player: Path) -> None:
    (player / "adapter_config.json").unlink()
    (player / "model.json").write_text('{"model": "ft:gpt-4.1-mini:me::abc"}')
    hosted = ("model=api", "model.model=gpt-4.1-mini-2025-04-14", "train=hosted", "generate.n=20", "own.n=10")
    one = round_config(composed("stage=improve", "improve.rounds=1", *hosted), 1, player)
    stages = Stages(one)
    check(stages, [*upstream("evaluate", one), "evaluate"])
    assert stages.plays["own"].adapter == player
    with pytest.raises(ConfigError, match=r"set improve\.start=base"):
        need(composed("stage=improve", "improve.rounds=1", "improve.start=last", *hosted))


@pytest.mark.parametrize(("wrong", "told"), [
    (("improve.rounds=0",), r"set e\.g\. improve\.rounds=3"), (("inputs.player=/x",), "leave out"),
    (("inputs.curated=/x",), "leave out"), (("inputs.trajectories=/x",), "leave one of the two out"),
    (("dataset=bamboogle",), "no file for the split"), (("dataset=hotpotqa",), "dataset=table"),
    (("evaluate.split=validation",), "leave out evaluate.split"), (("generate.split=validation",), "leave it at train"),
    (("own.temperature=0",), r"own\.temperature=0\.7"), (("own.n=100000",), r"own\.n=100000 is more"),
    (("improve.n=100000",), r"improve\.n=100000 is more"), (("evaluate.n=100000",), r"evaluate\.n=100000 is more"),
    (("own.n={factbook: 0}",), r"own\.n=0"), (("improve.n={factbook: 0}",), r"improve\.n=0"),
    (("model=oracle",), "cannot be fine-tuned")])
def test_what_cannot_go_in_rounds_is_refused_before_anything_is_played(wrong: tuple[str, ...], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        need(composed("stage=improve", "improve.rounds=1", *wrong))


@pytest.mark.parametrize("wrong", ["improve.rounds=-1", "improve.patience=0", "own.ratio=0", "own.attempts=0",
                                   "own.n=0", "improve.start=first"])
def test_a_value_that_does_not_fit_is_refused_by_its_name(wrong: str) -> None:
    with pytest.raises(ConfigError, match=wrong.partition("=")[0]):
        composed("stage=improve", wrong)


def test_a_players_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"inputs\.player=.* is no adapter's or model's folder"):
        _ = Stages(composed(f"inputs.player={tmp_path}")).plays


def _questions(path: Path, numbers: range) -> Path:
    path.write_text("".join(json.dumps({"id": str(number), "question": f"Which letter is number {number}?",
                                        "answer": chr(98 + number % 5)}) + "\n" for number in numbers))
    return path


def _table(tmp_path: Path) -> tuple[str, ...]:
    """Twenty questions that a tiny model can learn by heart, and that the validation asks too."""
    train, test = _questions(tmp_path / "train.jsonl", range(20)), _questions(tmp_path / "test.jsonl", range(20))
    return ("dataset=table", f"dataset.train={train}", f"dataset.validation={test}", f"dataset.test={test}",
            "strategy=direct", "strategy.prompt=factbook", "model@teacher=scripted",
            "teacher.replies=[b]", "generate.n=20", "curate.n=3", "curate.validation=0",
            "curate.filters=[finished,correct]", "evaluate.parity.check=false", "train=full",
            "train.learning_rate=3e-3",
            "train.batch_size=4", "train.epochs=40", "improve.n=20", "evaluate.n=20", "own.n=20", "own.attempts=2")


def test_rounds_side_by_side_then_the_best_on_the_test(run_main, tmp_path: Path, store: Path,
                                                       tiny_options: Path) -> None:
    """The teacher says "b" to all, the student learns that, and plays what it is right about."""
    options = ("--config-dir", str(tiny_options), "model=tiny_a", "stage=improve", "improve.rounds=1",
               *_table(tmp_path))
    planned = run_main(*options[:-1], "own.attempts=2", "stage=plan")
    assert planned.returncode == 0, planned.stderr
    assert "1 further round at most, whose player is not trained yet" in planned.stdout
    done = run_main(*options)
    assert done.returncode == 0, done.stdout + done.stderr
    run, played = tmp_path / "run", _played(store)
    told = read_json(run / "improve.json")
    assert f"round {told['best']} is the best" in done.stdout
    assert [each["trained"] > 0 for each in told["rounds"]] == [False, True]
    assert read_json(run / "1" / "metrics.json")["curate"]["own"]["train"] == told["rounds"][1]["trained"]
    for page in (run / "report.html", run / "test" / "report.html"):
        assert "<html" in page.read_text()
    assert "EM by round" in (run / "report.html").read_text()
    best = run / "test" / str(told["best"])
    for name in ("metrics.json", "results.jsonl", "config.yaml"):
        assert (run / name).read_bytes() == (best / name).read_bytes()
    assert (run / "adapter").resolve() == (run / str(told["best"]) / "adapter").resolve()
    assert _splits(run) == {"0": "validation", "1": "validation", f"test/{told['best']}": "test", "test/0": "test"}
    again = run_main(*options)
    assert again.returncode == 0, again.stderr
    assert all(stage["reused"] for place in ("0", "1", "test/0")
               for stage in read_json(run / place / "manifest.json")["stages"].values())
    assert _played(store) == played
    status = run_main(*options, "stage=status")
    assert status.returncode == 0, status.stderr
    assert "further round" not in status.stdout


def _splits(run: Path) -> dict[str, str]:
    """Which split each run was judged on, by the jobs of what it played."""
    found = {}
    for place in (path.parent for path in (*run.glob("[0-9]*/manifest.json"), *run.glob("test/[0-9]*/manifest.json"))):
        stage = read_json(place / "manifest.json")["stages"]["evaluate/table/finetuned"]
        job = next(Path(stage["folder"]).glob("job-*.json")).read_text()
        found[place.relative_to(run).as_posix()] = PlayJob.model_validate_json(job).split
    return found


def _played(store: Path) -> Counter[tuple[str, str, int]]:
    """How often each attempt of each job was played and recorded."""
    return Counter((file.parent.name, record.id, record.attempt) for file in store.glob("generate/*/trajectories.jsonl")
                   for record in read_finished(file, Trajectory))


def test_killed_in_a_round_it_goes_on_and_does_nothing_twice(start_main, run_main, tmp_path: Path, store: Path,
                                                             tiny_options: Path) -> None:
    options = ("--config-dir", str(tiny_options), "model=tiny_a", "stage=improve", "improve.rounds=1", "concurrency=1",
               *_table(tmp_path))
    process = start_main(*options)
    wait_until(lambda: _own_episodes(store) > 1, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    trained = {done: done.read_bytes() for done in store.glob("train/*/done.json")}
    before = _played(store)
    assert len(trained) == 1
    done = run_main(*options)
    assert done.returncode == 0, done.stdout + done.stderr
    after = _played(store)
    assert set(after.values()) == {1}
    assert set(before) < set(after)
    assert len(list(store.glob("train/*/done.json"))) == 2
    assert all(path.read_bytes() == content for path, content in trained.items())
    for place in ("0", "1"):
        stages = read_json(tmp_path / "run" / place / "manifest.json")["stages"]
        assert stages["train"]["reused"] == (place == "0")


def _own_episodes(store: Path) -> int:
    return sum(file.read_bytes().count(b'"method":"own"') for file in store.glob("generate/*/trajectories.jsonl"))


def test_where_no_own_episode_passes_the_first_student_is_kept(run_main, tmp_path: Path, tiny_options: Path) -> None:
    done = run_main("--config-dir", str(tiny_options), "model=tiny_a", "stage=improve", "generate.n=12", "curate.n=4",
                    "curate.validation=0", "train.max_steps=1", "improve.n=2", "evaluate.n=2", "own.n=2",
                    "improve.rounds=3", "own.attempts=1", "evaluate.parity.check=false")
    assert done.returncode == 0, done.stdout + done.stderr
    told = " ".join(done.stdout.split())
    assert "round 0 is the best. Round 1 was not trained: none of the student's own episodes passed" in told
    assert (tmp_path / "run" / "test" / "0" / "metrics.json").exists()
    assert read_json(tmp_path / "run" / "sweep.json")["cells"][1]["error"]
    assert not (tmp_path / "run" / "2").exists()


def test_a_round_that_fails_for_another_reason_fails_the_run(tmp_path: Path, player: Path) -> None:
    """A machine that fails, or a budget that is spent, is no end that the best round could follow."""
    begun: list[str] = []

    def run(one: Config, folder: Path) -> None:
        begun.append(folder.relative_to(tmp_path / "run").as_posix())
        if folder.name == "1":
            raise ChildFailed(-9)
        folder.mkdir()
        (folder / "adapter").symlink_to(player)
        (folder / "metrics.json").write_text(json.dumps({
            "curate": {"react": {"played": 4, "kept": 3, "train": 2}},
            "evaluate": {"factbook": {"finetuned": {"n": 2, "em": 0.5, "em_se": 0.5}}}}))

    with pytest.raises(ChildFailed, match="killed"):
        improve(composed("stage=improve", "improve.rounds=2", f"store={tmp_path}/store"), tmp_path / "run", run)
    assert begun == ["0", "1"]
    assert [cell["choices"] for cell in read_json(tmp_path / "run" / "sweep.json")["cells"]] == [
        {"round": "0"}, {"round": "1"}]


def test_rounds_are_runs_of_one_group_at_wandb(tmp_path: Path) -> None:
    config = composed("experiment=self_improve", f"store={tmp_path}/store")
    note(tmp_path / "run", config, range(2))
    first, second = (identify(tmp_path / "run" / str(number), round_config(config, number, None)) for number in (0, 1))
    assert (first.name, second.name) == ("round=0", "round=1")
    assert first.group == second.group
    assert first.group is not None
    assert first.group.startswith("self_improve-")
    assert first.id != second.id


def test_it_plays_questions_that_the_teacher_did_not(player: Path) -> None:
    options = ("generate.n=5", "own.n=4", f"inputs.player={player}")
    taught, own = (Stages(composed(*options, "own.skip=5")).plays[name] for name in ("react", "own"))
    stages = Stages(composed(*options, "own.skip=5"))
    played = {question.id for question in stages.questions(taught, "generate.n")}
    assert len(stages.questions(own, "own.n")) == 4
    assert not played & {question.id for question in stages.questions(own, "own.n")}
    same = Stages(composed(*options))
    assert same.plays["own"].key() == own.key()
    assert same.curate.key() != stages.curate.key()
    whole = len(stages.splits.whole(own))
    for wrong in (f"own.skip={whole}", f"own.skip={whole - 3}"):
        with pytest.raises(ConfigError, match="behind the first"):
            _ = Stages(composed(*options, wrong)).plays


def test_seeds_of_the_rounds_are_the_cells_of_a_sweep(run_main, tmp_path: Path, tiny_options: Path) -> None:
    done = run_main("-m", "--config-dir", str(tiny_options), "model=tiny_a", "stage=improve", "improve.rounds=1",
                    *_table(tmp_path), "seed=0,1")
    assert done.returncode == 0, done.stdout + done.stderr
    for number in (0, 1):
        cell = tmp_path / "sweep" / str(number)
        assert read_json(cell / "improve.json")["rounds"]
        assert read_json(cell / "metrics.json")["evaluate"]["table"]["finetuned"]["n"] == 20
    assert (tmp_path / "sweep" / "report.html").exists()
    assert "2 of 2 cells done" in done.stdout
