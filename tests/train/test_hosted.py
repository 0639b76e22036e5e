"""Hosted fine-tuning against a server on the loopback: what is sent, what comes out, and what is never sent."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fireact.errors import ConfigError, DataError, ProviderError
from fireact.formats.chat import openai_record
from fireact.model.api import Api
from fireact.plugins import build
from fireact.requests import Ask
from fireact.store import identity
from fireact.tracking import parse_metrics
from fireact.train.hosted import Hosted
from fireact.train.hosted_api import Endpoint, Job
from fireact.train.hosted_data import about_tokens, find_fault, write_chat_file
from fireact.types import Message
from tests.helpers import composed, real_data
from tests.train.endpoint import fault
from tests.train.hosting import KEY, Training, hosting, record, refusal, said, write


@pytest.fixture
def training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Training]:
    with hosting(tmp_path, monkeypatch) as started:
        yield started


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_from_trajectories_to_a_model(training: Training, capsys: pytest.CaptureFixture[str]) -> None:
    training.run(price=8.0, suffix="mine", learning_rate_multiplier=0.5)
    server = training.server
    train, held_out = (lines(server.contents[file["id"]]) for file in server.files)
    assert train == [openai_record(record(number, refused=number == 3)) for number in range(12)]
    assert [turn.get("weight") for turn in train[3]["messages"]] == [None, 0, None, None, None, None]
    assert len(held_out) == 3
    assert server.bodies == [{
        "model": "gpt-x", "seed": 7, "suffix": "mine", "training_file": "file-0", "validation_file": "file-1",
        "metadata": {"fireact": training.read("hosted.json")["mark"]},
        "hyperparameters": {"n_epochs": 3, "learning_rate_multiplier": 0.5}}]
    made = training.read("model/model.json")
    assert (made["model"], made["base"], made["job"]) == ("ft:gpt-x-0613:me::ftjob-0", "gpt-x", "ftjob-0")
    assert made["cost"] == pytest.approx(4321 * 8 / 1e6)
    assert training.read("done.json") == {
        "model": "ft:gpt-x-0613:me::ftjob-0", "job": "ftjob-0", "cost": made["cost"], "examples": 12,
        "validation_examples": 3, "epochs": 3, "tokens": 4321, "seconds": 90.0, "steps": 6,
        "train_loss": pytest.approx(1 / 6), "validation_loss": pytest.approx(2 / 6)}
    said = capsys.readouterr().out
    assert said.startswith("  12 examples of about 595 tokens (characters / 4, and 4 a turn), 3 times: about 1,785 "
                           "tokens, about US$ 0.01\n")
    assert said.count("ftjob-0: running") == 1
    assert said.count("training loss=0.33") == 1, "of many steps only the last is shown"
    assert "training loss=1.00" not in said
    assert training.is_whole()


def test_metrics_are_named_as_those_of_a_local_training(training: Training) -> None:
    training.run()
    first = parse_metrics((training.folder / "metrics.jsonl").read_bytes())[0]
    assert first == {"event": "ftjob-0-e0", "time": 1001, "message": "Step 1: training loss=1.00", "step": 1, "loss": 1,
                     "token_accuracy": 0.5, "validation_loss": 2}


def test_what_is_done_is_not_done_again(training: Training) -> None:
    training.run()
    before = len(training.server.requests)
    training.run()
    assert len(training.server.requests) == before


def test_the_model_is_asked_in_an_evaluation(training: Training) -> None:
    training.run()
    api = Api(model="gpt-x", base_url=training.server.url, key_env="MY_KEY", adapter=training.folder / "model")
    assert ask(api) == "I am ft:gpt-x-0613:me::ftjob-0"
    assert api.name == "ft:gpt-x-0613:me::ftjob-0"
    with pytest.raises(ConfigError, match=r"model.json is no file with the id of a fine-tuned model; set "):
        ask(replace(api, adapter=training.folder))


def ask(api: Api) -> str:
    async def once() -> str:
        try:
            return (await api.complete(Ask((Message("user", "Who are you?"),)))).text
        finally:
            if "_client" in vars(api):
                await api._client.close()

    return asyncio.run(once())


def test_a_model_file_without_an_id(tmp_path: Path) -> None:
    for text in ("{}", '{"model": 3}', "x"):
        (tmp_path / "model.json").write_text(text)
        with pytest.raises(ConfigError, match=r"is no file with the id"):
            ask(Api(model="m", base_url="http://127.0.0.1:9/v1", tuned_price_in=0, tuned_price_out=0, adapter=tmp_path))


def test_nothing_held_out_is_no_file(training: Training) -> None:
    write(training.curated / "validation.jsonl", [])
    training.run()
    assert len(training.server.files) == 1
    assert "validation_file" not in training.server.bodies[0]


def test_openai_itself_is_asked_in_its_newer_shape(training: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    from fireact.train import hosted

    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    files = hosted._files(training.curated, training.folder, None)
    tuning = hosted._tuning(Hosted(batch_size=4), Api(model="gpt-x"), files, 7, training.folder)
    assert tuning.request == {"model": "gpt-x", "seed": 7, "method": {
        "type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 3, "batch_size": 4}}}}


# Money and data: nothing is sent


def test_a_budget_is_kept(training: Training, capsys: pytest.CaptureFixture[str]) -> None:
    said = refusal(training, ConfigError, price=1000.0, budget=0.5)
    assert said.startswith("12 examples of about 595 tokens (characters / 4, and 4 a turn), 3 times: about 1,785 ")
    assert "are above train.budget=0.5; raise it, or lower train.epochs or curate.n, nothing was sent" in said
    said = refusal(training, ConfigError, budget=0.5)
    assert said.startswith("train.budget=0.5 needs a price: 12 examples of about ")
    assert training.server.requests == []
    training.run(price=1000.0, budget=2.0)
    assert "3 times: about 1," in capsys.readouterr().out


def test_a_job_under_way_is_not_refused_for_its_budget(training: Training) -> None:
    training.server.refusals["GET /fine_tuning/jobs/ftjob-0"] = [fault(400, "no")]
    refusal(training, ProviderError)
    training.run(budget=0.0)
    assert training.is_whole()


def test_a_cost_that_is_unknown_is_not_made_up(training: Training, capsys: pytest.CaptureFixture[str]) -> None:
    training.run()
    assert "what they cost is unknown without train.price" in capsys.readouterr().out
    assert training.read("done.json")["cost"] is None


def test_curated_files_that_are_missing(training: Training) -> None:
    (training.curated / "validation.jsonl").unlink()
    assert "validation.jsonl does not exist; run stage=curate first" in refusal(training, DataError)


def test_too_few_examples(training: Training) -> None:
    write(training.curated / "train.jsonl", [record(number) for number in range(9)])
    assert "train.jsonl has 9 trajectories and an endpoint wants at least 10; raise" in refusal(training, DataError)
    assert training.server.requests == []


def test_a_bad_example_is_named_by_its_line(training: Training) -> None:
    records = [record(number) for number in range(12)]
    records[4] = replace(records[4], question=replace(records[4].question, text=" "))
    write(training.curated / "train.jsonl", records)
    assert refusal(training, DataError).endswith("train.jsonl:5: turn 1, of the user, has no text; drop or mend this "
                                                 "trajectory, nothing was sent")
    write(training.curated / "train.jsonl", [*records[:2], replace(records[2], steps=())])
    assert "train.jsonl:3: the trajectory 'q2'" in refusal(training, DataError)
    assert "train.jsonl:1: it has about 4" in refusal(training, DataError, max_length=20)
    assert training.server.requests == []


def test_the_key_is_in_no_file_and_in_no_word(training: Training, capsys: pytest.CaptureFixture[str]) -> None:
    training.server.refusals["GET /fine_tuning/jobs/ftjob-0/events"] = [
        (200, {"data": [{"id": "e1", "message": f"Started with {KEY}"}], "has_more": False})]
    training.server.refusals["GET /fine_tuning/jobs/ftjob-0"] = [fault(500, f"your key {KEY}")]
    training.run()
    assert "Started with ***" in (training.folder / "metrics.jsonl").read_text()
    written = [path for path in training.home.rglob("*") if path.is_file()]
    assert len(written) >= 7
    assert not any(KEY in path.read_text(encoding="utf-8") for path in written)
    assert KEY not in "".join(capsys.readouterr())


@given(st.lists(st.text(min_size=1).filter(str.strip), min_size=1, max_size=4))
def test_what_is_sent_is_what_is_counted(thoughts: list[str]) -> None:
    with TemporaryDirectory() as folder:
        source, target = Path(folder) / "train.jsonl", Path(folder) / "chat.jsonl"
        records = [replace(record(number), steps=(said(thought),)) for number, thought in enumerate(thoughts)]
        write(source, records)
        file = write_chat_file(source, target, None)
        again = write_chat_file(source, target, None)
        sent = [json.loads(line)["messages"] for line in target.read_text(encoding="utf-8").splitlines()]
    assert sent == [openai_record(one)["messages"] for one in records]
    assert (file.examples, file.tokens, file.name) == (len(thoughts), sum(map(about_tokens, sent)), again.name)


def test_a_file_that_is_too_large(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", [record(1)])
    with pytest.raises(DataError, match=r"chat.jsonl has \d+ bytes and the endpoint takes 100; lower curate.n"):
        write_chat_file(tmp_path / "train.jsonl", tmp_path / "chat.jsonl", None, max_bytes=100)


@pytest.mark.parametrize(("turns", "fault"), [
    ([], "the last turn is of the nobody, expected one of the assistant"),
    ([("user", "x", 1)], "the last turn is of the user, expected one of the assistant"),
    ([("function", "x", 1), ("assistant", "x", 1)],
     "turn 1 has the role 'function', expected one of system, user, assistant, tool"),
    ([("user", "x", 1), ("assistant", "\n", 1)], "turn 2, of the assistant, has no text"),
    ([("user", "x", 1), ("assistant", "x", 0)], "no turn of the assistant is learnt, all have the weight 0"),
    ([("system", "x", 1), ("user", "x", 1), ("assistant", "x", 0), ("user", "x", 1), ("assistant", "x", 1)], None),
])
def test_what_cannot_be_trained_on(turns: list[tuple[str, str, int]], fault: str | None) -> None:
    assert find_fault([{"role": role, "content": text, "weight": weight} for role, text, weight in turns]) == fault


def test_the_estimate_on_released_conversations() -> None:
    """PAPER: 264 tokens a record on average with Llama's vocabulary and a template of about 45."""
    path = real_data("fireact", "finetune", "gpt_format", "hotpotqa.jsonl")
    counts = [about_tokens(line["messages"]) for line in lines(path.read_text(encoding="utf-8"))]
    assert len(counts) == 500
    assert sum(counts) / 500 == pytest.approx(264 - 45, rel=0.1)


# The options


def test_the_option_composes_and_its_defaults_are_those_of_the_class() -> None:
    node = composed("model=api", "train=hosted").train
    assert build(node, "train") == Hosted()
    assert (Hosted.module, Hosted.makes, Hosted.student, Api.trained_by) == (
        "fireact.train.hosted", "model", "hosted", "hosted")


def test_only_what_changes_the_model_is_in_the_key() -> None:
    node = composed("model=api", "train=hosted").train
    assert set(identity(node)) == {"_target_", "revision", "epochs", "batch_size", "learning_rate_multiplier",
                                   "max_length"}


@pytest.mark.parametrize(("override", "sentence"), [
    ("train.epochs=0", "train.epochs=0 does not fit: input should be greater than or equal to 1"),
    ("train.poll=0", "train.poll=0 does not fit"),
    ("train.budget=-1", "train.budget=-1 does not fit"),
    (f"train.suffix={'x' * 65}", "should have at most 64 characters"),
])
def test_a_value_that_does_not_fit(override: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        composed("model=api", "train=hosted", override)


def test_a_placeholder_for_a_key_does_not_tear_up_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint of one's own takes any key, such as 1; ids and numbers that hold it stay what they are."""
    monkeypatch.setenv("MY_KEY", "1")
    endpoint = Endpoint(Api(model="m", base_url="http://127.0.0.1:1/v1", key_env="MY_KEY"))
    job = endpoint._read('{"id": "ftjob-1", "status": "succeeded", "trained_tokens": 1000}', Job, "to tell of a job")
    assert (job.id, job.trained_tokens) == ("ftjob-1", 1000)
