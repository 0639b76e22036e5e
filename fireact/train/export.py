"""What a training leaves for others: the adapter (or the whole model), its model card, and whose base it fits."""

import json
import shutil
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor

from fireact import __version__
from fireact.train import Train, sharded

_TOKENIZER = ("tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab.*", "merges.txt", "*.jinja")
_LIBRARIES = ("torch", "transformers", "peft", "accelerate")


def whole_weights(model: Any, train: Train, keep: bool = True) -> dict[str, Tensor]:
    """Return what is to be saved, gathered from all ranks: the weights that learn, or all of a whole model's.

    Ranks that do not `keep` them take part and get nothing.
    """
    if train.method != "full":
        learnt = ((name, weight) for name, weight in model.named_parameters() if weight.requires_grad)
        return sharded.gather(learnt, keep)
    # Weights that are tied are one parameter under two names, and shards of it would be saved twice.
    named = {id(weight): (name, weight) for name, weight in reversed(model.state_dict(keep_vars=True).items())}
    return sharded.gather(reversed(named.values()), keep)


def save_adapter(model: PeftModel, tensors: dict[str, Tensor], folder: Path) -> None:
    """Write adapter_config.json and adapter_model.safetensors. Raises OSError, SafetensorError."""
    model.save_pretrained(str(folder), save_embedding_layers=False, state_dict=tensors)


def save_model(model: Any, tensors: dict[str, Tensor], base: Path, folder: Path, dtype: torch.dtype) -> None:
    """Write the whole model in `dtype`, and the tokenizer of `base`. Raises OSError, SafetensorError."""
    model.config.dtype = dtype
    model.save_pretrained(folder, state_dict={name: tensor.to(dtype) if tensor.is_floating_point() else tensor
                                              for name, tensor in tensors.items()})
    for pattern in _TOKENIZER:
        for file in base.glob(pattern):
            shutil.copyfile(file, folder / file.name)


def describe(folder: Path, train: Train, base_name: str, base_identity: str, results: dict[str, Any]) -> None:
    """Write the model card README.md, and fireact.json that names the base. Raises OSError."""
    identity = {"base_identity": base_identity, "base_name": base_name, "version": __version__}
    (folder / "fireact.json").write_text(json.dumps(identity), encoding="utf-8")
    (folder / "README.md").write_text(_card(train, base_name, base_identity, results), encoding="utf-8")


def _card(train: Train, base_name: str, base_identity: str, results: dict[str, Any]) -> str:
    kind = "The whole model" if train.method == "full" else "A LoRA adapter"
    lines = ["---", f"base_model: {json.dumps(base_name)}", "library_name: peft" if train.method == "lora" else
             "library_name: transformers", "pipeline_tag: text-generation", "tags: [fireact]", "---", "",
             f"# {base_name}, fine-tuned as an agent", "",
             f"{kind}, trained by FireAct {__version__} on trajectories of a language agent.", "",
             f"Base model: {base_name} (identity {base_identity})", "",
             *_table("Result", results), *_table("Hyper-parameters", asdict(train)),
             *_table("Versions", {library: version(library) for library in _LIBRARIES})]
    return "\n".join(lines)


def _table(title: str, rows: dict[str, Any]) -> list[str]:
    body = [f"| {name.replace('_', ' ')} | {_shown(value)} |" for name, value in rows.items() if value is not None]
    return [f"## {title}", "", "| | |", "|---|---|", *body, ""]


def _shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
