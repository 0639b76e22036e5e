"""From curated trajectories to a trained student: what is rendered, for data of several datasets."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from fireact import tokenize
from fireact.curate import TRAIN, VALIDATION
from fireact.errors import ConfigError, DataError
from fireact.jsonl import encode, read_jsonl
from fireact.train import TOKENS, Train, prepare
from fireact.types import Example, Question, Score, Step, StopReason, Trajectory
from tests.model.tiny import tiny_model

REPLIES = ("Thought: I look.\nAction: search[capital of France]", "Thought: Seen.\nAction: finish[Paris]")
RECORD = Trajectory("0", Question("0", "What is the capital of France?", ("Paris",)), "react", (
    Step("ask", REPLIES[0], form="react"), Step("act", "Paris is the capital of France.", tool="search"),
    Step("ask", REPLIES[1], form="react")), "Paris", StopReason.FINISHED, Score(1, 1), dataset="hotpotqa")
RECORDS = [RECORD, replace(RECORD, dataset="mmlu"), replace(RECORD, method="reflexion"), replace(RECORD, dataset="")]


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with its tokenizer."""
    return tiny_model(tmp_path_factory.mktemp("student"))


def job(folder: Path, student: Path, records: list[Trajectory], **train: Any) -> dict[str, Any]:
    """A training's job as stages.py freezes it; one of the records is held out too."""
    for name, part in ((TRAIN, records), (VALIDATION, records[:1])):
        (folder / name).write_text("".join(f"{encode(record)}\n" for record in part), encoding="utf-8")
    options = {**asdict(Train(threads=1, rank=2, max_steps=1)), **train}
    model = {"_target_": "fireact.model.local.Local", "name": "tiny", "source": str(student)}
    tokens = folder / "tokens"
    tokens.mkdir()
    tokenize.run({"curated": str(folder), "curated_key": "", "model": model, "home": str(folder / "home"),
                  **{name: options[name] for name in TOKENS}}, tokens)
    return {"tokens": str(tokens), "model": model, "train": {"_target_": "fireact.train.Train", **options}, "seed": 0,
            "home": str(folder / "home")}


def test_data_of_several_datasets_and_methods_train_together(tmp_path: Path, student: Path) -> None:
    prepare.run(job(tmp_path, student, RECORDS), tmp_path)
    examples = list(read_jsonl(tmp_path / "tokens" / TRAIN, Example))
    assert [example.id for example in examples] == ["hotpotqa/react/0", "mmlu/react/0", "hotpotqa/reflexion/0",
                                                    "react/0"]
    done = json.loads((tmp_path / "done.json").read_text(encoding="utf-8"))
    assert (done["examples"], done["validation_examples"]) == (4, 1)
    assert (tmp_path / "adapter" / "adapter_model.safetensors").exists()


def test_the_same_episode_twice_is_refused(tmp_path: Path, student: Path) -> None:
    with pytest.raises(DataError, match="'hotpotqa/react/0' was already used"):
        prepare.run(job(tmp_path, student, [RECORD, RECORD]), tmp_path)


@pytest.mark.parametrize(("loss", "learnt"), [
    ("assistant", "<|im_end|>".join((*REPLIES, ""))),
    ("actions", "Action: search[capital of France]<|im_end|>Action: finish[Paris]<|im_end|>"),
    ("final", REPLIES[1] + "<|im_end|>"),
    ("all_output", f"{REPLIES[0]}<|im_end|>\n<|im_start|>user\nObservation: Paris is the capital of France.<|im_end|>\n"
                   f"<|im_start|>assistant\n{REPLIES[1]}<|im_end|>"),
])
def test_the_loss_that_is_asked_for_is_trained(tmp_path: Path, student: Path, loss: str, learnt: str) -> None:
    prepare.run(job(tmp_path, student, [RECORD], loss=loss), tmp_path)
    example = next(read_jsonl(tmp_path / "tokens" / TRAIN, Example))
    tokenizer = AutoTokenizer.from_pretrained(student)
    kept = [token for token, counts in zip(example.ids, example.mask, strict=True) if counts]
    assert tokenizer.decode(kept) == learnt
    done = json.loads((tmp_path / "done.json").read_text(encoding="utf-8"))
    assert done["trained_tokens"] == sum(example.mask)


def test_an_unknown_loss_is_refused(tmp_path: Path, student: Path) -> None:
    values = job(tmp_path, student, [RECORD])
    values["train"]["loss"] = "action"
    with pytest.raises(ConfigError, match=r"train\.loss='action' does not fit: .*all_output, assistant, actions, final "
                                          r"\(did you mean actions\?\)"):
        prepare.run(values, tmp_path)


def test_tokens_that_are_not_there_are_named(tmp_path: Path, student: Path) -> None:
    values = {**job(tmp_path, student, [RECORD]), "tokens": str(tmp_path / "nowhere")}
    with pytest.raises(DataError, match=r"nowhere/train.jsonl does not exist; run stage=tokenize first"):
        prepare.run(values, tmp_path)
