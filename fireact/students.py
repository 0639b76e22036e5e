"""Which models can be students, and what tells a trained student's folder from any other."""

from dataclasses import fields
from pathlib import Path

from fireact.errors import ConfigError
from fireact.plugins import build, plugin_name, target
from fireact.schema import Config

FILES = ("adapter_config.json", "config.json", "model.json")
"""Of an adapter, of a whole model, of a model that its endpoint keeps."""


def need_student(folder: Path, option: str) -> None:
    """Refuse a folder that training did not leave. Raises ConfigError."""
    if not any((folder / name).is_file() for name in FILES):
        raise ConfigError(f"{option}={folder} is no adapter's or model's folder: it has none of {', '.join(FILES)}; "
                          "name one that stage=train wrote")


def need_trainable(config: Config) -> None:
    """Refuse a student that cannot be trained in the way that is chosen. Raises ConfigError."""
    cls, model = target(config.model, "model"), config.model
    name = model.get("name") or model.get("model") or plugin_name(model)
    if "adapter" not in {field.name for field in fields(cls)}:
        raise ConfigError(f"model={name} cannot be fine-tuned; choose a local model, e.g. model=smollm2_135m, or "
                          "set stage=evaluate evaluate.finetuned=false")
    wanted = build(config.train, "train").student
    if getattr(cls, "trained_by", "local") != wanted:
        raise ConfigError(f"this way to train is for {wanted} models and model={name} is not one; choose "
                          f"{'train=lora or train=full' if wanted == 'hosted' else 'train=hosted'}, "
                          "or set stage=evaluate evaluate.finetuned=false")
