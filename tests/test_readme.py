"""The README's commands compose, its files work as they stand there, and its make targets exist."""

import re
import shlex
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser

from fireact.schema import typed
from tests.helpers import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)
SHELL = "\n".join(text for kind, text in BLOCKS if kind == "bash").replace("\\\n", " ")
COMMANDS = [line.partition("#")[0].strip() for line in SHELL.splitlines() if line.startswith("python main.py")]
RECIPES = [text for kind, text in BLOCKS if kind == "yaml"]


def overrides(command: str) -> list[list[str]]:
    """The overrides of each cell that a command runs, at most the first two values of an axis."""
    words = [word for word in shlex.split(command)[2:] if not word.startswith("-")]
    cells: list[list[str]] = [[]]
    for override in OverridesParser.create().parse_overrides(words):
        key, _, value = override.input_line.partition("=")
        values = value.split(",")[:2] if override.is_sweep_override() else [value]
        cells = [[*cell, f"{key}={choice}"] for cell in cells for choice in values]
    return cells


def check(words: list[str], folder: Path | None = None) -> str:
    """Compose and check one cell, and return its recipe's name."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        extra = [f"hydra.searchpath=[file://{folder}]"] if folder else []
        return typed(compose("config", overrides=[*extra, *words])).name


@pytest.mark.parametrize("command", [command for command in COMMANDS if "--help" not in command])
def test_every_command_composes(command: str) -> None:
    for cell in overrides(command):
        assert check(cell)


@pytest.mark.parametrize("text", RECIPES, ids=lambda text: text.split(",")[0])
def test_every_yaml_works_as_it_stands(text: str, tmp_path: Path) -> None:
    where = re.search(r"# my/conf/(\S+), used as: (.*)", text)
    assert where, "a YAML block says where it goes and how it is used"
    path = tmp_path / where[1]
    path.parent.mkdir(parents=True)
    path.write_text(text)
    words = [word for word in shlex.split(where[2])[2:] if "=" in word]
    assert check(words, tmp_path)


def test_the_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for first, second in re.findall(r"^make ([a-z-]+)|`make ([a-z-]+)", README, re.MULTILINE):
        target = first or second
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"make {target}"


def test_the_options_in_the_table_are_those_in_conf() -> None:
    for group, options in re.findall(r"^\| `conf/(\w+)`.*\| ([^|]*) \|$", README, re.MULTILINE):
        named = set(re.findall(r"`(\w+)`", options))
        assert named == {path.stem for path in (ROOT / "conf" / group).glob("[!_]*.yaml")}


def test_nothing_is_left_to_be_filled_in() -> None:
    assert not re.search(r"^[A-Z]{4,}$|\b[A-Z]+TABLE\b|TODO|TBD", README, re.MULTILINE)
