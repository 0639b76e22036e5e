"""Every refusal of an endpoint that fine-tunes has its sentence, and nothing that was sent or paid for is lost."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fireact.errors import ConfigError, DataError, FireActError, ProviderError
from fireact.train import hosted_job
from fireact.train.hosted import run
from tests.train.endpoint import Answer, FineTuner, fault
from tests.train.hosting import JOBS, KEY, Training, hosting, interrupt, refusal


@pytest.fixture
def training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Training]:
    with hosting(tmp_path, monkeypatch) as started:
        yield started



@pytest.mark.parametrize(("request_", "answer", "kind", "sentence"), [
    ("GET /files", fault(401, f"Incorrect API key provided: {KEY}."), ConfigError,
     "refuses the key in $MY_KEY: Incorrect API key provided: ***."),
    ("POST /files", fault(400, "Invalid file format.\nLine 2"), ProviderError,
     "chat-train.jsonl: Invalid file format. Line 2"),
    ("POST /files", fault(404, "Not here"), ConfigError,
     "has no /files, so it does not fine-tune as OpenAI does; set model.base_url to an endpoint that does"),
    ("POST /files", (200, "<html>Welcome</html>"), ProviderError, "got '<html>Welcome</html>'; check model.base_url"),
    ("POST /files", fault(413, "too large"), ProviderError, "chat-train.jsonl: too large"),
    (JOBS, fault(403, "Fine-tuning is closed"), ProviderError, "refuses to fine-tune gpt-x: Fine-tuning is closed"),
    (JOBS, fault(404, "no", "model_not_found"), ConfigError,
     "has no model 'gpt-x' that it fine-tunes; set model.model to one that it does"),
    (JOBS, fault(429, "You exceeded your current quota", "insufficient_quota"), ProviderError,
     "refuses to fine-tune gpt-x, the quota is used up: You exceeded your current quota; top it up and start the same "
     "command again, what was sent is kept"),
    (JOBS, (200, {"object": "error"}), ProviderError,
     "was asked to fine-tune gpt-x and answered otherwise than OpenAI does (id: Field required), got '{\"object\": "
     "\"error\"}'; check model.base_url"),
])
def test_a_refusal_has_its_sentence(training: Training, request_: str, answer: Answer, kind: type[FireActError],
                                    sentence: str) -> None:
    training.server.refusals[request_] = [answer]
    assert sentence in refusal(training, kind)
    training.run()
    assert training.is_whole()


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_fault_that_passes_is_waited_for(training: Training, status: int, capsys: pytest.CaptureFixture[str]) -> None:
    for request_ in ("POST /files", JOBS, "GET /fine_tuning/jobs/ftjob-0"):
        training.server.refusals[request_] = [fault(status, "slow down")] * 3
    training.run()
    assert training.is_whole()
    said = f"  {training.server.url} failed: slow down; trying again in 0.001 seconds\n"
    assert capsys.readouterr().out.count(said) == 9


def test_a_fault_that_does_not_pass_is_told(training: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    training.server.refusals["POST /files"] = [fault(500, "oops")] * 4
    assert refusal(training, ProviderError) == f"{training.server.url} failed: oops"
    monkeypatch.setattr(hosted_job, "PATIENCE", 3)
    training.server.refusals["GET /fine_tuning/jobs/ftjob-0"] = [fault(500, "oops")] * 3
    assert refusal(training, ProviderError) == (f"{training.server.url} failed: oops; the job ftjob-0 goes on there, "
                                                "start the same command again to wait for it")
    training.run()
    assert training.is_whole()


def test_an_endpoint_that_is_not_there(training: Training) -> None:
    training.model = {"base_url": "http://127.0.0.1:9/v1", "retries": 0}
    assert refusal(training, ProviderError).startswith("http://127.0.0.1:9/v1 cannot be reached: ")


def test_a_missing_key(training: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MY_KEY")
    assert "set the environment variable MY_KEY" in refusal(training, ConfigError)
    assert training.server.requests == []


def test_a_student_without_an_endpoint(training: Training) -> None:
    values = training.values() | {"model": {"_target_": "fireact.model.scripted.Scripted", "replies": ["x"]}}
    with pytest.raises(ConfigError, match="a Scripted has none; choose model=api, or train=lora"):
        run(values, training.folder)


def test_a_file_is_processed_before_it_is_used(training: Training) -> None:
    training.server.file_states = ("pending", "pending", "processed")
    training.run()
    assert training.is_whole()
    assert training.server.requests.index(JOBS) > training.server.requests.index("GET /files/file-1")


def test_a_file_that_the_endpoint_finds_bad(training: Training) -> None:
    training.server.file_states = ("pending", "error")
    for _ in range(2):
        said = refusal(training, DataError)
        assert "chat-train.jsonl (file-0): line 3 has no messages; mend what is curated, or delete the file" in said
    assert len(training.server.files) == 1
    assert list(training.read("hosted.json")["files"].values()) == ["file-0"]


@pytest.mark.parametrize(("end", "error", "sentence"), [
    ("failed", {"message": "Example 3 is unsafe", "code": "unsafe_file"}, "failed: Example 3 is unsafe (unsafe_file)"),
    ("failed", {}, "failed: the endpoint does not say why"),
    ("cancelled", None, "was cancelled at the endpoint"),
    ("expired", None, "has expired at the endpoint"),
])
def test_a_job_that_comes_to_nothing(training: Training, end: str, error: dict[str, str] | None, sentence: str) -> None:
    training.server.states, training.server.error = ("running", end), error
    assert refusal(training, ProviderError) == (
        f"the job ftjob-0 {sentence}; the same command starts a new one with the files that were sent")
    ledger = training.read("hosted.json")
    assert (ledger["job"], ledger["ended"], len(ledger["files"])) == (None, ["ftjob-0"], 2)
    training.server.states = FineTuner().states
    training.run()
    assert training.server.count("POST /files") == 2
    assert training.read("model/model.json")["job"] == "ftjob-1"
    assert set(training.events()) == {event["id"] for event in training.server.events["ftjob-1"]}


def test_a_job_that_is_gone_is_not_paid_for_again_unasked(training: Training) -> None:
    training.server.refusals["GET /fine_tuning/jobs/ftjob-0"] = [fault(404, "No such job")]
    said = refusal(training, ProviderError)
    assert "has no job ftjob-0, which this training waits for; set the key it was made with, or delete" in said
    training.run()
    assert training.is_whole()


def test_an_endpoint_without_events(training: Training) -> None:
    training.server.refusals["GET /fine_tuning/jobs/ftjob-0/events"] = [fault(404, "No events here")] * 9
    training.run()
    done = training.read("done.json")
    assert (done["steps"], done["train_loss"], done["tokens"]) == (None, None, 4321)


def test_a_success_without_a_model(training: Training) -> None:
    training.server.refusals["GET /fine_tuning/jobs/ftjob-0"] = [(200, {"id": "ftjob-0", "status": "succeeded"})]
    assert "has succeeded and names no model" in refusal(training, ProviderError)


# Cancelling


@pytest.mark.parametrize("noted", [True, False])
def test_a_job_is_cancelled_on_request(training: Training, noted: bool) -> None:
    training.server.states = ("running",)
    training.server.hook = lambda number, moment: (
        interrupt() if len(training.server.requests) == 12 and moment == "before" else None)
    with pytest.raises(KeyboardInterrupt):
        training.run()
    if not noted:
        (training.folder / "hosted.json").unlink()
    training.server.hook = FineTuner().hook
    assert refusal(training, ConfigError, cancel=True) == (
        "the job ftjob-0 was cancelled, as train.cancel=true asks; the same command without it starts a new one")
    assert [job["status"] for job in training.server.jobs] == ["cancelled"]
    assert "no job is under way" in refusal(training, ConfigError, cancel=True)
    assert len(training.server.jobs) == 1
    training.server.states = FineTuner().states
    training.run()
    assert (len(training.server.files), len(training.server.jobs)) == (2, 2)


def test_nothing_is_started_to_be_cancelled(training: Training) -> None:
    assert refusal(training, ConfigError, cancel=True) == (
        "train.cancel=true, and no job is under way for this training; leave it out to start one")
    assert training.server.requests == ["GET /fine_tuning/jobs"]


def test_a_job_that_has_succeeded_is_kept(training: Training) -> None:
    training.server.refusals["GET /fine_tuning/jobs/ftjob-0"] = [fault(400, "no")]
    refusal(training, ProviderError)
    training.server.looks["ftjob-0"] = 9
    assert "ftjob-0 cannot be cancelled any more, it has succeeded" in refusal(training, ConfigError, cancel=True)
    training.run()
    assert len(training.server.jobs) == 1
    assert training.read("model/model.json")["job"] == "ftjob-0"
