"""Every recipe of the paper composes, for every value that it sweeps over, with both sets of rules."""

from collections.abc import Iterator, Mapping
from functools import cache
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from fireact.paper.cells import names, table
from fireact.plugins import plugin_name
from fireact.schema import Config, mix, typed
from fireact.stages import Stages

CONF = Path(__file__).parent.parent.parent / "conf"
TWINS = {"table8": "table5", "figure6": "table10"}
"""Recipes that are another by a second name."""
RECIPES = sorted(path.stem for path in (CONF / "experiment" / "paper").glob("[!_]*.yaml"))


@pytest.fixture(scope="module", autouse=True)
def _hydra() -> Iterator[None]:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield


def composed(recipe: str, *overrides: str) -> Config:
    """A recipe, as main.py composes it."""
    return typed(compose("config", overrides=[f"experiment=paper/{recipe}", *overrides]))


@cache
def swept(recipe: str) -> Mapping[str, list[str]]:
    """What a recipe sweeps over."""
    cfg: Any = compose("config", overrides=[f"experiment=paper/{recipe}"], return_hydra_config=True)
    params = OmegaConf.select(cfg, "hydra.sweeper.params") or {}
    assert bool(params) == (cfg.hydra.mode is not None)
    return {key: [value.strip() for value in str(values).split(",")] for key, values in params.items()}


def cells(recipe: str) -> list[list[str]]:
    """Cells of a recipe's sweep in which each of its values stands at least once."""
    params = swept(recipe)
    most = max(map(len, params.values()), default=1)
    columns = [[f"{key}={value}" for value in islice(cycle(values), most)] for key, values in params.items()]
    return [list(cell) for cell in zip(*columns, strict=True)] or [[]]


def test_every_table_has_its_recipes() -> None:
    assert {recipe for name in names() for recipe in table(name).recipes} == set(RECIPES)


def test_twins_sweep_over_the_same() -> None:
    for recipe, other in TWINS.items():
        assert swept(recipe) == swept(other)


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_cell_composes_and_the_last_has_its_jobs(recipe: str, tmp_path: Path) -> None:
    """Asked, taught and trained by something that exists and fits the student."""
    for cell in cells(recipe)[-1:] if recipe in TWINS else cells(recipe):
        config = composed(recipe, *cell, f"store={tmp_path}")
        assert config.paper is not None
        assert config.paper.rules == "corrected"
        assert recipe in table(str(config.paper.table)).recipes
        assert config.name == f"paper/{recipe}"
        assert plugin_name(config.tool) == "serpapi"
    stages = Stages(config)
    assert len({cell.label for cell in stages.evaluations}) == len(stages.evaluations) > 0
    if config.stage == "pipeline":
        assert stages.plays
        assert stages.train.key()


@pytest.mark.parametrize(("rules", "expected"), [("faithful", (1000, "all_output", 512, "truncate", 100, "reflexion")),
                                                 ("corrected", (500, "assistant", None, "error", None, "react"))])
def test_the_rules_choose(rules: str, expected: tuple[object, ...]) -> None:
    config = composed("table2", f"paper={rules}", "model=llama2_7b")
    train, whole = config.train, mix(config.strategy)
    assert (whole.counts["react"], train["loss"], train["max_length"], train["too_long"], train["warmup_steps"],
            whole.play) == expected
    assert config.paper is not None
    assert config.curate.filters == config.paper.filters


def test_the_hosted_student_learns_from_500_whatever_the_rules() -> None:
    for rules in ("faithful", "corrected"):
        whole = mix(composed("table2_gpt", f"paper={rules}").strategy)
        assert (whole.counts["react"], whole.play) == (500, "react")


@pytest.mark.parametrize("recipe", ["table1", "table2", "table4", "figure3", "figure4"])
def test_a_recipe_can_be_made_small_and_offline(recipe: str) -> None:
    cell = [override for override in cells(recipe)[0] if not override.startswith("model=")]
    config = composed(recipe, *cell, "model=smollm2_135m", "train=lora", "tool=corpus", "model@teacher=oracle",
                      "generate.n=60", "curate.n=24", "evaluate.n=20")
    assert (plugin_name(config.tool), plugin_name(config.teacher), config.evaluate.n) == ("corpus", "oracle", 20)
    assert config.train["method"] == "lora"


def test_a_run_that_only_evaluates_is_compared(run_main, tmp_path: Path, tiny_options: Path) -> None:
    """No stage before it has written metrics.json."""
    done = run_main("--config-dir", str(tiny_options), "experiment=paper/table1", "hydra.mode=RUN", "model=tiny_a",
                    "strategy=react", "dataset=factbook", "tool=corpus", "evaluate.n=2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "run" / "table1.csv").exists()


def test_dictionaries_of_numbers_give_way_to_one_number() -> None:
    assert composed("table3", "evaluate.n=20", "tool=corpus").evaluate.n == 20


def test_the_counts_are_the_papers() -> None:
    config = composed("table5", "+experiment/paper/cell=multitask_cot")
    assert sum(n for by_method in config.curate.counts.values() for n in by_method.values()) == 2470
    assert mix(composed("table4", "strategy=paper/react_cot_reflexion").strategy).counts == {
        "react": 500, "cot": 187, "reflexion": 47}
