"""What tells a trained student's folder from any other."""

from pathlib import Path

from fireact.errors import ConfigError

FILES = ("adapter_config.json", "config.json", "model.json")
"""Of an adapter, of a whole model, of a model that its endpoint keeps."""


def need_student(folder: Path, option: str) -> None:
    """Refuse a folder that training did not leave. Raises ConfigError."""
    if not any((folder / name).is_file() for name in FILES):
        raise ConfigError(f"{option}={folder} is no adapter's or model's folder: it has none of {', '.join(FILES)}; "
                          "name one that stage=train wrote")
