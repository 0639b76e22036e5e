"""What TRL's trainers make of our files: `pip install trl==1.16.0` to run these tests."""

from pathlib import Path
from typing import Any

import pytest

from fireact.formats import read, write, write_pairs
from fireact.preferences import Preference
from tests.formats.samples import ALL, COT, DIRECT
from tests.formats.test_preference import RIGHT, WRONG
from tests.helpers import real_data
from tests.model.tiny import tiny_model


def options(config: type, folder: Path, **more: Any) -> Any:
    """One step on a CPU, without reports."""
    return config(output_dir=str(folder / "out"), max_steps=1, per_device_train_batch_size=2, use_cpu=True, bf16=False,
                  report_to="none", save_strategy="no", logging_steps=1, disable_tqdm=True, **more)


def rows(path: Path) -> Any:
    """The file as `datasets` reads it."""
    datasets = pytest.importorskip("datasets", reason="the library datasets is not installed")
    return datasets.load_dataset("json", data_files=str(path), split="train", cache_dir=str(path.parent))


def test_trl_trains_on_what_is_written(tmp_path: Path) -> None:
    trl = pytest.importorskip("trl", reason="the library trl is not installed")
    write("conversational", ALL, tmp_path / "set.jsonl")
    trainer = trl.SFTTrainer(model=str(tiny_model(tmp_path / "model")), args=options(trl.SFTConfig, tmp_path),
                             train_dataset=rows(tmp_path / "set.jsonl"))
    text = trainer.processing_class.decode(trainer.train_dataset[1]["input_ids"])
    assert "Thought: Bhutan has it.\nAction: finish[ngultrum]<|im_end|>" in text
    assert "teacher" not in text
    assert trainer.train().training_loss > 0


@pytest.mark.parametrize("name", ["alpaca_format/hotpotqa.json", "gpt_format/multitask.jsonl"])
def test_the_released_files_train_with_trl(tmp_path: Path, name: str) -> None:
    trl = pytest.importorskip("trl", reason="the library trl is not installed")
    records = read(real_data("fireact", "finetune", *name.split("/"))).trajectories
    assert write("conversational", records, tmp_path / "all.jsonl") == len(records)
    model = str(tiny_model(tmp_path / "model", window=4096))
    trainer = trl.SFTTrainer(model=model, args=options(trl.SFTConfig, tmp_path, max_length=4096),
                             train_dataset=rows(tmp_path / "all.jsonl"))
    assert len(trainer.train_dataset) == len(records)
    text = trainer.processing_class.decode(trainer.train_dataset[0]["input_ids"])
    assert text.startswith(f"<|im_start|>user\n{records[0].question.text}<|im_end|>\n<|im_start|>assistant\nThought: ")
    assert text.rstrip().endswith(f"Action: finish[{records[0].answer}]<|im_end|>")
    assert trainer.train().training_loss > 0


def test_trl_prefers_what_is_written(tmp_path: Path) -> None:
    trl = pytest.importorskip("trl", reason="the library trl is not installed")
    write_pairs([Preference(RIGHT, WRONG), Preference(COT, WRONG, 1), Preference(DIRECT, WRONG, 2)],
                tmp_path / "pairs.jsonl")
    trainer = trl.DPOTrainer(model=str(tiny_model(tmp_path / "model")), args=options(trl.DPOConfig, tmp_path),
                             train_dataset=rows(tmp_path / "pairs.jsonl"))
    first = trainer.train_dataset[0]
    decode = trainer.processing_class.decode
    assert decode(first["prompt_ids"]).endswith("Observation: It is Bhutan.<|im_end|>\n<|im_start|>assistant\n")
    assert decode(first["chosen_ids"]).startswith("Thought: b.\nAction: finish[ngultrum]<|im_end|>")
    assert decode(first["rejected_ids"]).startswith("Thought: c.\nAction: finish[rupee]<|im_end|>")
    assert trainer.train().training_loss == pytest.approx(0.693147, abs=1e-4)
