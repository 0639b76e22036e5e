"""A training on pairs through the stages, with real parts: the oracle's attempts, a tiny student, its evaluation."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fireact.errors import ConfigError
from fireact.stages import Stages
from tests.helpers import composed
from tests.model.tiny import tiny_adapter

PLAYED = ("generate.n=16", "generate.attempts=4", "teacher.mistakes=0.4")


@pytest.fixture
def keys(tmp_path: Path) -> Callable[..., tuple[str, str, str]]:
    """The keys of curation, tokens and training of a configuration."""

    def made(*options: str) -> tuple[str, str, str]:
        stages = Stages(composed(f"store={tmp_path}", *options))
        assert stages.tokenize is not None
        return stages.curate.key(), stages.tokenize.key(), stages.train.key()

    return made


def adapter(folder: Path, text: str = "{}") -> Path:
    folder.mkdir()
    (folder / "adapter_config.json").write_text(text)
    return folder


def test_keys_know_what_changes_the_result(keys: Callable[..., tuple[str, str, str]], tmp_path: Path) -> None:
    sft, dpo = keys(), keys("train=dpo")
    assert all(one != other for one, other in zip(sft, dpo, strict=True))
    assert keys("train=dpo", "curate.pairs=1") == dpo
    assert keys("train=dpo", "curate.pairs=2")[0] != dpo[0]
    starts = [adapter(tmp_path / "a"), adapter(tmp_path / "b", '{"r": 2}')]
    others = [keys("train=dpo", option) for option in (
        "train.dpo.beta=0.2", "train.dpo.sft_weight=1", "train.dpo.length_normalised=true",
        *(f"train.start_from={start}" for start in starts))]
    assert all(other[:2] == dpo[:2] for other in others)
    assert len({dpo[2], *(other[2] for other in others)}) == 6
    same = adapter(tmp_path / "c")
    assert keys("train=dpo", f"train.start_from={same}") == others[3]
    assert keys(f"train.start_from={same}")[2] != sft[2]


def test_an_export_of_pairs_makes_them(tmp_path: Path) -> None:
    def pairs(*options: str) -> int:
        return Stages(composed(f"store={tmp_path}", *options)).curate.pairs

    assert pairs() == 0
    assert pairs("curate.pairs=3") == 3
    assert pairs("export.formats=[preference]") == 1
    assert pairs("export.formats=[preference]", "curate.pairs=3") == 3


@pytest.mark.parametrize(("options", "sentence"), [
    (("train=dpo", "curate.pairs=0"), r"train\.dpo is about pairs of trajectories, and curate\.pairs=0 makes none; "),
    (("export.formats=[preference]", "curate.pairs=0"), r"export\.formats=\[preference\] is about pairs"),
    (("train=dpo", "train.dpo.beta=0"), r"train\.dpo\.beta=0 does not fit: input should be greater than 0"),
    (("train.start_from=nowhere",), "nowhere does not exist"),
])
def test_what_cannot_be_is_told_before_any_work(keys: Callable[..., Any], options: tuple[str, ...],
                                                sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence) as failure:
        keys(*options)
    assert "\n" not in str(failure.value)


def test_pairs_of_another_runs_file_train_and_are_evaluated(run_main: Callable[..., Any], tmp_path: Path,
                                                            tiny_options: Path) -> None:
    run, student = tmp_path / "run", ("--config-dir", str(tiny_options))
    assert run_main(*PLAYED, "stage=generate").returncode == 0
    given = tmp_path / "a.jsonl"
    given.write_bytes((run / "trajectories.jsonl").read_bytes())
    start = tiny_adapter(tiny_options / "weights" / "tiny_a", tmp_path / "start")
    options = ("train=dpo", f"inputs.trajectories={given}", f"train.start_from={start}", "curate.validation=2",
               "train.batch_size=2", "train.max_steps=2", "curate.n=6", "evaluate.n=2", "evaluate.prompted=false",
               "curate.filters=[finished,correct]")
    done = run_main(*student, "model=tiny_a", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "pairs to train on" in done.stdout
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["train"]["examples"] == metrics["curate"]["react"]["pairs"]["train"] > 0
    assert "validation_reward_margin" in metrics["train"]
    assert metrics["evaluate"]["factbook"]["finetuned"]["n"] == 2
    assert metrics["parity"]["same_prompts"] == 1
    other = run_main(*student, "model=tiny_b", *options)
    assert other.returncode == 2
    assert "was trained on" in other.stderr
    assert len(other.stderr.strip().splitlines()) == 1
