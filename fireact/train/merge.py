"""Make a trained student whole: its adapter merged into the base, with the tokenizer and the chat template.

    python -m fireact.train.merge FOLDER/job.json

leaves `tokenizer/` and, where the job wants the weights, `model/`, which transformers loads without PEFT. The sum is
made in float32 and rounded once; how far what was written agrees with the model in training is left in `parity.json`.
"""

import gc
import json
import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from fireact.errors import ConfigError
from fireact.jsonl import write_atomic
from fireact.model.local import weights
from fireact.parity import PARITY, REFERENCE, measure, read_reference
from fireact.parity.compare import compare
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
                dtype = _whole(base, job, part)
                tokenizer.save_pretrained(part)
            if dtype and (job.adapter / REFERENCE).is_file():
                _compare(folder, job.adapter, str(dtype).removeprefix("torch."))
    write_atomic(folder / DONE, json.dumps({"base_identity": weights.identity(base), "weights": job.weights}))


def _whole(base: Path, job: MergeJob, folder: Path) -> torch.dtype | None:
    """Write the weights and their configuration, and return what the weights were rounded to.

    Those of a model that was trained whole are taken as they are.
    """
    if not (job.adapter / "adapter_config.json").is_file():
        for file in [*job.adapter.glob("*.safetensors*"), *job.adapter.glob("*config.json")]:
            shutil.copyfile(file, folder / file.name)
        return None
    dtype = _dtype(base, job.dtype)
    model = weights.load_apart(base, "float32", "cpu", job.adapter).merge_and_unload()
    model.to(dtype).save_pretrained(folder)
    return dtype


def _compare(folder: Path, adapter: Path, dtype: str) -> None:
    """Write how far the model in `folder`, whose weights are `dtype`, agrees with the one that was trained."""
    gc.collect()  # The model that was written.
    reference = read_reference(adapter)
    model = weights.load_apart(folder / MODEL, "float32", "cpu")
    found = asdict(compare(reference, measure(model, reference)))
    write_atomic(folder / PARITY, json.dumps({"forms": {f"merged model in {dtype}": found}}, indent=1))


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
