"""A tiny Llama on disk, and jobs to train it."""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fireact.jsonl import encode
from fireact.types import Example, Pair

VOCABULARY = 96


def make_examples(count: int, seed: int = 0) -> list[Example]:
    """Sequences that count upwards in steps of one; the second half of each is trained on."""
    draw = random.Random(seed)
    examples = []
    for number in range(count):
        length, first = draw.randint(6, 24), draw.randrange(VOCABULARY)
        ids = tuple((first + i) % VOCABULARY for i in range(length))
        examples.append(Example(f"e{number}", ids, tuple(int(i >= length // 2) for i in range(length))))
    return examples


def make_pairs(count: int, seed: int = 0) -> list[Pair]:
    """Pairs of a sequence that counts upwards, and one that goes on backwards after the same beginning."""
    pairs = []
    for number, up in enumerate(make_examples(count, seed)):
        start, length = up.mask.index(1), len(up.ids) + number % 5
        down = up.ids[:start] + tuple((up.ids[0] - 3 * i) % VOCABULARY for i in range(start, length))
        mask = tuple(int(i >= start and i % 4 != 3) for i in range(length))
        name = f"p{number}"
        pairs.append(Pair(name, replace(up, id=f"{name}/chosen"), Example(f"{name}/rejected", down, mask)))
    return pairs


def write_examples(path: Path, examples: Sequence[Example | Pair]) -> Path:
    """Write one example a line."""
    path.write_text("".join(f"{encode(example)}\n" for example in examples), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a random Llama with a vocabulary of 96 tokens and a window of 64."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=VOCABULARY, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
                         num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
                         tie_word_embeddings=True)
    folder = tmp_path_factory.mktemp("base")
    LlamaForCausalLM(config).save_pretrained(folder)
    (folder / "tokenizer.json").write_text("{}", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def untied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama whose head is a matrix of its own."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("untied")
    LlamaForCausalLM(LlamaConfig(vocab_size=VOCABULARY, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
                                 num_attention_heads=4, max_position_embeddings=64)).save_pretrained(folder)
    return folder


MakeJob = Callable[..., Path]


@pytest.fixture
def make_job(tmp_path: Path, base: Path) -> MakeJob:
    """Write a JOB.json that trains `base` into tmp_path / out."""

    def make(out: str = "out", *, examples: Sequence[Example | Pair] | None = None, validation: bool = True,
             seed: int = 0, base: Path = base, **train: Any) -> Path:
        some = make_pairs if train.get("dpo") is not None else make_examples
        examples = some(40) if examples is None else examples
        path = write_examples(tmp_path / f"{out}.jsonl", examples)
        held_out = write_examples(tmp_path / f"{out}-validation.jsonl", some(7, seed=1))
        options = {"rank": 4, "alpha": 8, "batch_size": 8, "learning_rate": 1e-2, "threads": 1, **train}
        job = {"examples": str(path), "validation": str(held_out) if validation else None, "base": str(base),
               "base_identity": "abc123", "base_name": "tiny/llama", "out": str(tmp_path / out), "seed": seed,
               "train": options}
        file = tmp_path / f"{out}.json"
        file.write_text(json.dumps(job), encoding="utf-8")
        return file

    return make


def read_metrics(out: Path) -> list[dict[str, Any]]:
    """All lines of metrics.jsonl."""
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
