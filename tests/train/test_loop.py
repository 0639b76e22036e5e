"""One process's training: the loss, what it does not depend on, and what it leaves."""

import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM

from fireact.errors import ConfigError
from fireact.train import Train, worker
from fireact.train.loop import learning_rate
from tests.train.conftest import MakeJob, make_examples, read_metrics


def train(job: Path) -> Path:
    """Do the job and return its folder."""
    loaded = worker.read_job(job)
    worker.run(loaded)
    return loaded.out


def full_logits_loss(model: torch.nn.Module, examples: list) -> float:
    """The mean loss over all trained tokens, from full logits and labels of -100, one sequence at a time."""
    total, count = 0.0, 0
    with torch.no_grad():
        for example in examples:
            ids = torch.tensor([example.ids])
            labels = ids.masked_fill(torch.tensor([example.mask]) == 0, -100)[:, 1:]
            logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[:, :-1]
            total += cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100, reduction="sum").item()
            count += int((labels != -100).sum())
    return total / count


def test_the_loss_is_the_mean_over_the_trained_tokens_of_the_batch(make_job: MakeJob, base: Path) -> None:
    examples = make_examples(11)
    out = train(make_job(examples=examples, batch_size=11, micro_batch_tokens=50))
    model = AutoModelForCausalLM.from_pretrained(base)
    first = read_metrics(out)[0]
    assert first["loss"] == pytest.approx(full_logits_loss(model, examples), rel=1e-5)
    assert first["tokens"] == sum(len(example.ids) for example in examples)
    assert first["trained_tokens"] == sum(sum(example.mask) for example in examples)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_micro_batches_change_nothing(make_job: MakeJob, method: str) -> None:
    whole = train(make_job("whole", method=method, batch_size=8, learning_rate=1e-3))
    parts = train(make_job("parts", method=method, batch_size=8, micro_batch_tokens=40, learning_rate=1e-3))
    for one, other in zip(read_metrics(whole), read_metrics(parts), strict=True):
        if "loss" in one:
            assert one["loss"] == pytest.approx(other["loss"], abs=1e-5)
    name = "adapter/adapter_model.safetensors" if method == "lora" else "model/model.safetensors"
    weights, others = load_file(whole / name), load_file(parts / name)
    for key, weight in weights.items():
        torch.testing.assert_close(weight, others[key], rtol=0, atol=1e-5)


def test_the_adapter_works_with_plain_peft(make_job: MakeJob, base: Path) -> None:
    out = train(make_job(epochs=6))
    held_out = make_examples(7, seed=1)
    model = AutoModelForCausalLM.from_pretrained(base)
    before = full_logits_loss(model, held_out)
    adapted = PeftModel.from_pretrained(model, str(out / "adapter"))
    after = full_logits_loss(adapted, held_out)
    done = json.loads((out / "done.json").read_text(encoding="utf-8"))
    assert after < before - 0.2
    assert done["validation_loss"] == pytest.approx(after, rel=1e-5)
    assert done["train_loss"] < before - 0.2


def test_what_a_training_leaves(make_job: MakeJob) -> None:
    job = make_job(epochs=1.5, checkpoint_every=2)
    out = train(job)
    done = json.loads((out / "done.json").read_text(encoding="utf-8"))
    metrics = read_metrics(out)
    assert {path.name for path in out.iterdir()} == {"adapter", "metrics.jsonl", "done.json"}
    assert {path.name for path in (out / "adapter").iterdir()} == {
        "adapter_config.json", "adapter_model.safetensors", "README.md", "fireact.json", "reference.json"}
    assert done["steps"] == 8
    assert done["epochs"] == 1.6
    assert done["trainable_parameters"] == sum(
        tensor.numel() for tensor in load_file(out / "adapter" / "adapter_model.safetensors").values())
    assert [line["step"] for line in metrics if "loss" in line] == list(range(1, 9))
    assert [line["step"] for line in metrics if "validation_loss" in line] == [5, 8]
    fireact = json.loads((out / "adapter" / "fireact.json").read_text(encoding="utf-8"))
    assert fireact["base_identity"] == "abc123"
    assert fireact["base_name"] == "tiny/llama"
    card = (out / "adapter" / "README.md").read_text(encoding="utf-8")
    assert 'base_model: tiny/llama\n' in card
    assert "| learning rate | 0.01 |" in card
    before = (out / "metrics.jsonl").stat().st_mtime_ns
    train(job)
    assert (out / "metrics.jsonl").stat().st_mtime_ns == before


def test_a_whole_model_comes_with_its_tokenizer(make_job: MakeJob) -> None:
    out = train(make_job(method="full", max_steps=2, validation=False))
    AutoModelForCausalLM.from_pretrained(out / "model")
    assert (out / "model" / "tokenizer.json").exists()
    assert json.loads((out / "done.json").read_text(encoding="utf-8"))["validation_loss"] is None


@pytest.mark.parametrize("options", [
    {"dtype": "bfloat16"}, {"gradient_checkpointing": True}, {"dropout": 0.2}, {"schedule": "cosine"},
    {"targets": ["q_proj", "down_proj"]}, {"method": "full", "dtype": "bfloat16"},
])
def test_options_train_too(make_job: MakeJob, options: dict) -> None:
    losses = [line["loss"] for line in read_metrics(train(make_job(epochs=2, **options))) if "loss" in line]
    assert losses[-1] < losses[0]


def test_a_head_of_its_own_trains_too(make_job: MakeJob, untied: Path) -> None:
    file = make_job(epochs=2, targets=["q_proj", "lm_head"], base=untied)
    losses = [line["loss"] for line in read_metrics(train(file)) if "loss" in line]
    assert losses[-1] < losses[0]


def test_gradient_checkpointing_changes_nothing(make_job: MakeJob) -> None:
    plain = read_metrics(train(make_job("plain", max_steps=3)))
    frugal = read_metrics(train(make_job("frugal", max_steps=3, gradient_checkpointing=True)))
    assert [line.get("loss") for line in plain] == pytest.approx([line.get("loss") for line in frugal], abs=1e-6)


def test_a_loss_that_is_no_number_stops_and_keeps_the_checkpoint(make_job: MakeJob) -> None:
    job = make_job(method="full", learning_rate=1e20, checkpoint_every=1)
    with pytest.raises(ConfigError, match=r"step 3: the loss is .*; lower train\.learning_rate, now 1e\+20; "):
        train(job)
    assert (worker.read_job(job).out / "checkpoint" / "step-00000001").is_dir()


def test_learning_rates() -> None:
    def curve(schedule: str) -> list[float]:
        options = Train(schedule=schedule, warmup_ratio=0.2, learning_rate=1.0)  # type: ignore[arg-type]
        return [round(learning_rate(step, 10, options), 3) for step in range(10)]

    assert curve("linear") == [0.5, 1.0, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]
    assert curve("constant") == [0.5] + [1.0] * 9
    assert curve("cosine")[:3] == [0.5, 1.0, 1.0]
    assert curve("cosine")[-1] < 0.05


def test_a_fixed_warm_up_takes_the_place_of_the_share() -> None:
    options = Train(schedule="linear", warmup_ratio=0.5, warmup_steps=2, learning_rate=1.0)
    assert [learning_rate(step, 4, options) for step in range(4)] == [0.5, 1.0, 1.0, 0.5]
    assert learning_rate(0, 4, Train(warmup_ratio=0.5, warmup_steps=0, learning_rate=1.0)) == 1.0


def test_a_schedule_shorter_than_its_warm_up_never_comes_to_its_rate() -> None:
    """FireAct's release: 90 steps, of which 100 are warm-up."""
    options = Train(warmup_steps=100, learning_rate=3e-4)
    rates = [learning_rate(step, 90, options) for step in range(90)]
    assert rates == sorted(rates)
    assert rates[-1] == pytest.approx(2.7e-4)


@pytest.mark.parametrize(("steps", "said"), [
    (6, "the learning rate never reaches 0.01: the warm-up takes 6 steps and the training ends after 5, at 0.0083 "
        "(train.warmup_steps, train.epochs)\n"),
    (5, ""),
])
def test_a_warm_up_that_is_too_long_is_said(make_job: MakeJob, capsys: pytest.CaptureFixture[str], steps: int,
                                            said: str) -> None:
    out = train(make_job(warmup_steps=steps))
    assert capsys.readouterr().out.startswith(f"{said}step 1/5  loss ")
    done = json.loads((out / "done.json").read_text(encoding="utf-8"))
    assert done["peak_learning_rate"] == pytest.approx(0.01 if steps == 5 else 0.01 * 5 / 6)
    assert max(line["lr"] for line in read_metrics(out) if "lr" in line) == pytest.approx(done["peak_learning_rate"])


@pytest.mark.parametrize(("method", "folder"), [("lora", "adapter"), ("full", "model")])
def test_the_folder_that_a_training_leaves_is_known_ahead(make_job: MakeJob, method: str, folder: str) -> None:
    job = make_job(method=method, max_steps=1)
    assert worker.read_job(job).train.makes == folder
    assert (train(job) / folder).is_dir()
