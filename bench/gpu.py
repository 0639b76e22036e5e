"""Training on one GPU: tokens a second, model FLOPs utilisation and memory, beside TRL's trainer with Liger.

    python -m bench gpu                                   on a machine with an NVIDIA GPU; some 20 minutes
    python -m bench.gpu --shape tiny --device cpu         to see that it runs to the end

Weights are random and made on the device, so nothing is downloaded. LoRA of rank 16 on all linear modules of the shape
of Llama-2-7B, in bfloat16, on packs of 2,048 tokens and more of sequences as long as ReAct trajectories; each setting
is a process of its own. TRL (`pip install trl liger-kernel`) trains on the same sequences, where it is installed.
Then QLoRA of the shape of CodeLlama-34B: does its peak stay within 48 GB?

Model FLOPs utilisation is FLOPs a token times tokens a second by the device's dense peak in bfloat16. A token takes 2
FLOPs a weight of the matrices forwards and as many backwards for what goes into them, but none for gradients of frozen
weights: 4 N for LoRA, N without the embedding. Attention, of which a sequence of n tokens has n^2 / 2 pairs, takes 12
FLOPs a pair, layer and hidden number: 4 forwards, 8 backwards. `mfu_6n` is the usual definition with 6 N, which counts
gradients that LoRA does not compute. Recomputation counts for nothing.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from bench import write
from fireact.train import Train
from fireact.types import Example

SHAPES: dict[str, dict[str, int]] = {
    "tiny": {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128,
             "vocab_size": 256},
    "7b": {"hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32, "intermediate_size": 11008,
           "vocab_size": 32000},
    "34b": {"hidden_size": 8192, "num_hidden_layers": 48, "num_attention_heads": 64, "num_key_value_heads": 8,
            "intermediate_size": 22016, "vocab_size": 32000}}
PEAKS = {"H200": 989e12, "H100 PCIe": 756e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "B200": 2250e12}
"""Dense FLOPs a second in bfloat16, by a part of the device's name; of NVIDIA's data sheets."""
PACK = 2048
STEPS, WARM = 8, 3
"""Steps that are timed, and those before."""


def made_up(shape: str, steps: int, tokens: int) -> list[list[Any]]:
    """Examples for each of some steps, at most `tokens` tokens a step, in sequences of 300 to 900 as ReAct's have.

    The last 39% of each is trained on.
    """
    draw, found = random.Random(1), []
    few, many = (300, 900) if shape != "tiny" else (9, 28)
    for step in range(steps):
        batch: list[Any] = []
        while True:
            size = min(draw.randint(few, many), tokens - sum(len(example.ids) for example in batch))
            if size < few // 2:
                break
            ids = tuple(draw.randrange(SHAPES[shape]["vocab_size"]) for _ in range(size))
            batch.append(Example(f"{step}/{len(batch)}", ids, tuple(int(i >= 0.61 * size) for i in range(size))))
        found.append(batch)
    return found


def flops(shape: str, batch: list[Any]) -> tuple[float, float]:
    """FLOPs that a step on `batch` takes: of LoRA, and by the 6 N definition. See the module's docstring."""
    sizes = SHAPES[shape]
    hidden, wide, layers = sizes["hidden_size"], sizes["intermediate_size"], sizes["num_hidden_layers"]
    keys = hidden * sizes.get("num_key_value_heads", sizes["num_attention_heads"]) // sizes["num_attention_heads"]
    matrices = layers * (2 * hidden * hidden + 2 * hidden * keys + 3 * hidden * wide) + sizes["vocab_size"] * hidden
    tokens = sum(len(example.ids) for example in batch)
    attention = sum(len(example.ids) ** 2 / 2 for example in batch) * layers * hidden
    return 4 * matrices * tokens + 12 * attention, 6 * matrices * tokens + 12 * attention


def peak(device: str) -> float | None:
    """The device's FLOPs a second, None where they are not known."""
    return next((value for name, value in PEAKS.items() if all(part in device for part in name.split())), None)


def base(shape: str, folder: Path) -> Path:
    """A folder with the configuration of a shape, and no weights."""
    LlamaConfig(**SHAPES[shape], max_position_embeddings=4096).save_pretrained(folder)
    return folder


def random_model(shape: str, device: str, bits: int | None = None) -> Any:
    """A model with random weights on the device; in 4 bits it is quantised layer by layer, never whole in 16."""
    import torch
    from accelerate import init_empty_weights
    from torch import nn

    config = LlamaConfig(**SHAPES[shape], max_position_embeddings=4096)
    with init_empty_weights():
        model = LlamaForCausalLM(config).to(torch.bfloat16)
    for path, module in list(model.named_modules()):
        for name, weight in list(module.named_parameters(recurse=False)):
            values = torch.ones(weight.shape, dtype=torch.bfloat16, device=device)
            setattr(module, name, nn.Parameter(values if weight.ndim == 1 else values.normal_(0, 0.02)))
        if bits and isinstance(module, nn.Linear) and path != "lm_head":
            model.set_submodule(path, quantised(module, device))
    if bits:
        model.is_loaded_in_4bit = True
    return model.to(device)


def quantised(module: Any, device: str) -> Any:
    """A linear module in 4 bits (NF4, doubly quantised, as fireact.train.lora has it)."""
    import bitsandbytes

    small = bitsandbytes.nn.Linear4bit(module.in_features, module.out_features, bias=False, quant_type="nf4",
                                       compute_dtype=torch.bfloat16, compress_statistics=True,
                                       quant_storage=torch.bfloat16, device="meta")
    small.weight = bitsandbytes.nn.Params4bit(module.weight.data, requires_grad=False, quant_type="nf4",
                                              compress_statistics=True, quant_storage=torch.bfloat16, module=small)
    return small.to(device)


def ours(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Time FireAct's loop in one setting."""
    from fireact.train import lora, worker

    def load(base: Path, dtype: Any, bits: int | None = None) -> Any:
        model = random_model(options.shape, options.device, bits)
        return lora.prepare_model_for_kbit_training(model, use_gradient_checkpointing=False) if bits else model

    lora.load_base = load
    batches = made_up(options.shape, WARM + options.steps, options.tokens)
    examples = [example for batch in batches for example in batch]
    (folder / "examples.jsonl").touch()
    train = Train(rank=16, dtype="bfloat16", batch_size=len(batches[0]), micro_batch_tokens=options.tokens,
                  liger=options.liger, compile=options.compile, bits=options.bits, check_memory=False,
                  gradient_checkpointing=options.recompute, checkpoint_every=10**6, max_steps=10**6, epochs=10**6)
    job = worker.Job(examples=folder / "examples.jsonl", base=base(options.shape, folder), base_identity="",
                     base_name="", out=folder / "out", seed=0, train=train)
    training = worker.start(job, examples, [])
    places = {example.id: place for place, example in enumerate(examples)}

    def step(batch: list[Any]) -> None:
        with redirect_stdout(StringIO()):
            training.step([places[example.id] for example in batch])

    return timed(step, batches, options)


def trl(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Time TRL's SFTTrainer on the same sequences: packed without padding, with Liger, by its own best attention."""
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import TrainerCallback
    from trl import SFTConfig, SFTTrainer

    batches = made_up(options.shape, WARM + options.steps, options.tokens)
    examples = [example for batch in batches for example in batch]
    rows = Dataset.from_list([{"input_ids": list(e.ids), "completion_mask": list(e.mask)} for e in examples])
    model = random_model(options.shape, options.device)
    flash = find_spec("flash_attn") is not None
    model.set_attn_implementation("flash_attention_2" if flash else "sdpa")
    cuda = options.device == "cuda"
    ends: list[float] = []

    class Clock(TrainerCallback):
        """Notes when each step ends."""

        def on_step_end(self, *_: Any, **__: Any) -> None:
            if cuda:
                torch.cuda.synchronize()
            ends.append(time.perf_counter())

    config = SFTConfig(
        output_dir=str(folder), per_device_train_batch_size=len(batches[0]), max_steps=len(batches), report_to=[],
        padding_free=flash, max_length=None, use_liger_kernel=cuda and find_spec("liger_kernel") is not None,
        bf16=True, use_cpu=not cuda, gradient_checkpointing=options.recompute, save_strategy="no", logging_steps=10**6,
        dataset_kwargs={"skip_prepare_dataset": True}, disable_tqdm=True)
    adapters = LoraConfig(r=16, lora_alpha=32, task_type="CAUSAL_LM", target_modules="all-linear")
    trainer = SFTTrainer(model=model, args=config, train_dataset=rows, callbacks=[Clock()], peft_config=adapters,
                         processing_class=tokenizer(options.shape, folder))
    trainer.train()
    # It shuffles: all its steps together have the tokens of ours, a single one about as many.
    share = options.steps / len(batches)
    work = [sum(flops(options.shape, batch)[kind] for batch in batches) * share for kind in (0, 1)]
    tokens = sum(len(example.ids) for example in examples) * share
    return {**figures(tokens, work, ends[-1] - ends[WARM - 1], options.device),
            "attention": "flash_attention_2, padding-free" if flash else "sdpa, padded"}


def tokenizer(shape: str, folder: Path) -> Any:
    """A tokenizer with a word for each id, for trainers that want one."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = {f"w{number}": number for number in range(SHAPES[shape]["vocab_size"])}
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="w0")),
                                   pad_token="w0", eos_token="w1")


def timed(step: Callable[[list[Any]], None], batches: list[list[Any]], options: argparse.Namespace) -> dict[str, Any]:
    """Take the steps and time those after the first few."""
    wait = torch.cuda.synchronize if options.device == "cuda" else (lambda: None)
    for batch in batches[:WARM]:
        step(batch)
    wait()
    started = time.perf_counter()
    for batch in batches[WARM:]:
        step(batch)
    wait()
    seconds = time.perf_counter() - started
    work = [sum(flops(options.shape, batch)[kind] for batch in batches[WARM:]) for kind in (0, 1)]
    return figures(sum(len(e.ids) for batch in batches[WARM:] for e in batch), work, seconds, options.device)


def figures(tokens: float, work: list[float], seconds: float, device: str) -> dict[str, Any]:
    """Tokens a second, utilisation and peak memory of what a process has done."""
    cuda = device == "cuda"
    most = peak(torch.cuda.get_device_name()) if cuda else None
    used = {"mfu": work[0] / seconds / most, "mfu_6n": work[1] / seconds / most} if most else {}
    memory = {"peak_memory_gb": torch.cuda.max_memory_allocated() / 1e9} if cuda else {}
    return {name: round(value, 4) for name, value in
            {"tokens_per_second": tokens / seconds, "tflops": work[0] / seconds / 1e12, **used, **memory}.items()}


def fresh(name: str, options: argparse.Namespace, *flags: str) -> dict[str, Any]:
    """Measure one setting in a process of its own; what fails is told and leaves the others alone."""
    command = [sys.executable, "-m", "bench.gpu", "--one", name, "--device", options.device,
               "--steps", str(options.steps), *flags]
    print(f"{name} {' '.join(flags)}", flush=True)
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or ["no word of it"])[-1][:300]}
    return json.loads(done.stdout.strip().splitlines()[-1])


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """Measure all settings, ours and TRL's in turn, then QLoRA of the 34B shape."""
    cuda, shape = options.device == "cuda", "7b" if options.shape == "7b" else options.shape
    sizes, liger = (PACK, 2 * PACK, 4 * PACK) if shape != "tiny" else (64, 128), find_spec("liger_kernel") and cuda
    result: dict[str, Any] = {}
    for tokens in sizes:
        flags = ("--shape", shape, "--tokens", str(tokens))
        result[f"fireact/{tokens}"] = fresh("ours", options, *flags)
        if liger:
            result[f"fireact+liger/{tokens}"] = fresh("ours", options, *flags, "--liger")
        if cuda:
            result[f"fireact+compile/{tokens}"] = fresh("ours", options, *flags, "--compile")
        result[f"trl+liger/{tokens}"] = fresh("trl", options, *flags) if find_spec("trl") else "trl is not installed"
    if cuda and find_spec("bitsandbytes"):
        qlora = fresh("ours", options, "--shape", "34b", "--tokens", str(PACK), "--bits", "4", "--recompute")
        result["qlora 34b"] = {**qlora, "fits_48_gb": qlora.get("peak_memory_gb", 1e9) <= 48}
    else:
        result["qlora 34b"] = "needs a GPU and bitsandbytes"
    return {**result, **summary(result)}


def summary(result: dict[str, Any]) -> dict[str, Any]:
    """The best of each, and their ratio."""
    def best(kind: str, figure: str) -> float | None:
        return max((value[figure] for name, value in result.items()
                    if name.startswith(kind) and isinstance(value, dict) and figure in value), default=None)

    speed, peers = best("fireact", "tokens_per_second"), best("trl", "tokens_per_second")
    return {"best": {"tokens_per_second": speed, "mfu": best("fireact", "mfu"), "trl_tokens_per_second": peers,
                     "ratio_to_trl": round(speed / peers, 3) if speed and peers else None}}


def main() -> int:
    """Measure all, or one setting in this process; return 2 where there is no GPU."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="a JSON file for the figures")
    parser.add_argument("--shape", choices=SHAPES, default="7b")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--steps", type=int, default=STEPS, help="optimizer steps that are timed")
    parser.add_argument("--tokens", type=int, default=PACK, help=argparse.SUPPRESS)
    parser.add_argument("--bits", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--one", choices=("ours", "trl"), help=argparse.SUPPRESS)
    for flag in ("--liger", "--compile", "--recompute"):
        parser.add_argument(flag, action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        print("error: this benchmark needs an NVIDIA GPU, and torch sees none here; "
              "python -m bench.gpu --shape tiny --device cpu shows that it runs", file=sys.stderr)
        return 2
    if options.one:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps((ours if options.one == "ours" else trl)(options, Path(folder))))
        return 0
    name = torch.cuda.get_device_name() if options.device == "cuda" else "cpu"
    write({"device": name, "peak_flops": peak(name), **measured(options)}, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
