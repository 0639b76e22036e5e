"""The few-shot texts, by method and task. Each file is the system message of a prompted model."""

from functools import cache
from importlib import resources
from pathlib import Path

from fireact.errors import ConfigError, suggest
from fireact.types import Message


@cache
def read_prompt(method: str, name: str) -> str:
    """Return the text of a prompt of this package, or of the file at the path `name`. Raises ConfigError."""
    if "/" in name:
        path = Path(name)
        if not path.is_file():
            raise ConfigError(f"strategy.prompt={name}: there is no such file")
        return path.read_text(encoding="utf-8").strip()
    folder = resources.files(__name__) / method
    names = [entry.name.removesuffix(".txt") for entry in folder.iterdir() if entry.name.endswith(".txt")]
    if name not in names:
        raise ConfigError(f"strategy.prompt={name}: there is no few-shot text of that name for {method}"
                          f"{suggest(name, names)}; a path with a / names a file of your own")
    return (folder / f"{name}.txt").read_text(encoding="utf-8").strip()


def preamble(method: str, name: str) -> list[Message]:
    """The messages that come before the question of a prompted episode."""
    return [Message("system", read_prompt(method, name))]
