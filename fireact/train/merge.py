"""Make a trained student whole: its adapter merged into the base, with the tokenizer and the chat template.

    python -m fireact.train.merge FOLDER/job.json

leaves `tokenizer/` and, where the job wants the weights, `model/`, which transformers loads without PEFT. An adapter is
added to its base in float32 and the sum rounded once; a model that was trained whole is rounded where another precision
is asked for. How far what was written agrees with the model in training is left in `parity.json`.
"""

import gc
import json
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
                dtype = _write(base, job, part)
                tokenizer.save_pretrained(part)
            if (job.adapter / REFERENCE).is_file():
                gc.collect()  # Else the model that was written is in memory beside the one that is now read.
                _compare(folder, job.adapter, dtype)
    write_atomic(folder / DONE, json.dumps({"base_identity": weights.identity(base), "weights": job.weights}))


def _write(base: Path, job: MergeJob, folder: Path) -> torch.dtype:
    """Write the weights and their configuration into `folder`, and return what the weights were rounded to."""
    adapter = (job.adapter / "adapter_config.json").is_file()
    dtype = _dtype(base if adapter else job.adapter, job.dtype)
    model = weights.load_apart(base, "float32", "cpu", job.adapter)
    (model.merge_and_unload() if adapter else model).to(dtype).save_pretrained(folder)
    return dtype


def _compare(folder: Path, student: Path, dtype: torch.dtype) -> None:
    """Write how far the model in `folder`, whose weights are `dtype`, agrees with the `student` that was trained.

    Both are computed in float32: what is seen is the rounding of the weights.
    """
    reference = read_reference(student)
    model = weights.load_apart(folder / MODEL, "float32", "cpu")
    found = asdict(compare(reference, measure(model, reference)))
    name = f"published model in {str(dtype).removeprefix('torch.')}"
    write_atomic(folder / PARITY, json.dumps({"forms": {name: found}}, indent=1))


def _dtype(base: Path, wanted: str) -> torch.dtype:
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(base, trust_remote_code=False).get_text_config()
    named = config.dtype if wanted == "auto" else wanted
    found = getattr(torch, named, None) if isinstance(named, str) else named or torch.float32
    if not isinstance(found, torch.dtype):
        raise ConfigError(f"the model in {base} says that its weights are {named!r}; set publish.dtype")
    return found


if __name__ == "__main__":
    sys.exit(stage_main(run, sys.argv))
