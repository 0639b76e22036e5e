"""Make a trained student whole: its adapter merged into the base, with the tokenizer and the chat template.

    python -m fireact.train.merge FOLDER/job.json

leaves `tokenizer/` and, where the job wants the weights, `model/`, which transformers loads without PEFT. The sum is
made in float32 and rounded once.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from fireact.errors import ConfigError
from fireact.jsonl import write_atomic
from fireact.model.local import weights
from fireact.plugins import build
from fireact.process import stage_main
from fireact.store import DONE
from fireact.train import checkpoint
from fireact.train.job import MergeJob

if TYPE_CHECKING:
    from fireact.model.local import Local

MODEL, TOKENIZER = "model", "tokenizer"


def run(values: dict[str, Any], folder: Path) -> None:
    """Merge into `folder`. Raises ConfigError for a base and an adapter that do not fit, DataError, ProviderError."""
    if (folder / DONE).exists():
        return
    job = MergeJob.model_validate(values)
    student: Local = build(job.model, "model", home=job.home / "weights")
    base, tokenizer = student.folder(), student.tokenizer()
    weights.check_base(job.adapter, base)
    with weights.writing(folder):
        with checkpoint.replacing(folder / TOKENIZER) as part:
            tokenizer.save_pretrained(part)
        if job.weights:
            with checkpoint.replacing(folder / MODEL) as part:
                _whole(base, job, part)
                tokenizer.save_pretrained(part)
    write_atomic(folder / DONE, json.dumps({"base_identity": weights.identity(base), "weights": job.weights}))


def _whole(base: Path, job: MergeJob, folder: Path) -> None:
    """Write the weights and their configuration; those of a model that was trained whole are taken as they are."""
    if not (job.adapter / "adapter_config.json").is_file():
        for file in [*job.adapter.glob("*.safetensors*"), *job.adapter.glob("*config.json")]:
            shutil.copyfile(file, folder / file.name)
        return
    model = weights.load_apart(base, "float32", "cpu", job.adapter).merge_and_unload()
    model.to(_dtype(base, job.dtype)).save_pretrained(folder)


def _dtype(base: Path, wanted: str) -> torch.dtype:
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(base, trust_remote_code=False).get_text_config()
    named = config.dtype if wanted == "auto" else wanted
    found = getattr(torch, named, None) if isinstance(named, str) else named or torch.float32
    if not isinstance(found, torch.dtype):
        raise ConfigError(f"the base in {base} says that its weights are {named!r}; set publish.dtype")
    return found


if __name__ == "__main__":
    sys.exit(stage_main(run, sys.argv))
