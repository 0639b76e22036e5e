"""TRL's SFTTrainer trains on a conversational file as it is written."""

from pathlib import Path

import pytest

from fireact.formats import write
from tests.formats.samples import ALL
from tests.model.tiny import tiny_model


def test_trl_trains_on_what_is_written(tmp_path: Path) -> None:
    trl = pytest.importorskip("trl", reason="the library trl is not installed")
    datasets = pytest.importorskip("datasets", reason="the library datasets is not installed")
    write("conversational", ALL, tmp_path / "set.jsonl")
    options = trl.SFTConfig(output_dir=str(tmp_path / "out"), max_steps=1, per_device_train_batch_size=2, use_cpu=True,
                            bf16=False, report_to="none", save_strategy="no", logging_steps=1, disable_tqdm=True)
    rows = datasets.load_dataset("json", data_files=str(tmp_path / "set.jsonl"), split="train",
                                 cache_dir=str(tmp_path))
    trainer = trl.SFTTrainer(model=str(tiny_model(tmp_path / "model")), args=options, train_dataset=rows)
    text = trainer.processing_class.decode(trainer.train_dataset[1]["input_ids"])
    assert "Thought: Bhutan has it.\nAction: finish[ngultrum]<|im_end|>" in text
    assert "teacher" not in text
    assert trainer.train().training_loss > 0
