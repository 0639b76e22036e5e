"""What a training leaves for others: the adapter (or the whole model), its model card, and whose base it fits."""

import json
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor

from fireact import __version__
from fireact.card import Card, recipe, write
from fireact.card.words import base_name as base_name_of
from fireact.model.local import weights
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
    model.save_pretrained(folder, state_dict={name: tensor.to(dtype) if tensor.is_floating_point() else tensor
                                              for name, tensor in tensors.items()})
    model.config.dtype = dtype  # Saved above as that of the weights that learnt.
    model.config.save_pretrained(folder)
    for pattern in _TOKENIZER:
        for file in base.glob(pattern):
            shutil.copyfile(file, folder / file.name)


def describe(folder: Path, train: Train, base_name: str, base_identity: str, results: dict[str, Any]) -> None:
    """Write fireact.json, which names the base and says how it was trained, and the model card. Raises OSError."""
    versions = {library: version(library) for library in _LIBRARIES}
    told = {"base_identity": base_identity, "base_name": base_name, "version": __version__, "train": recipe(train),
            "results": results, "versions": versions}
    (folder / weights.STAMP).write_text(json.dumps(told), encoding="utf-8")
    card = Card("merged" if train.method == "full" else "adapter", f"{base_name_of(base_name)[0]}, fine-tuned",
                base_name, base_identity, told["train"], results, versions)
    (folder / "README.md").write_text(write(card), encoding="utf-8")
