"""Every option of every group composes, passes the schema and builds; so does every recipe."""

from dataclasses import MISSING, asdict, fields, is_dataclass
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from fireact.checks import check
from fireact.dataset import table
from fireact.errors import ConfigError
from fireact.plugins import build, target
from fireact.schema import Config, mix, tasks, typed
from fireact.stages import Stages
from fireact.store import identity
from tests.helpers import composed

CONF = Path(__file__).parent.parent / "conf"
GROUPS = ("model", "strategy", "dataset", "tool", "train")
OPTIONS = [(group, path.stem) for group in GROUPS for path in sorted((CONF / group).glob("[!_]*.yaml"))]
RECIPES = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))


@pytest.mark.parametrize(("group", "option"), OPTIONS, ids=lambda part: part)
def test_every_option_composes_and_builds(group: str, option: str, tmp_path: Path) -> None:
    config = composed(f"{group}={option}")
    node = getattr(config, group)
    parts = {"strategy": mix, "dataset": tasks}
    for part in parts[group](node).parts.values() if group in parts else [node]:
        assert build(part, group, home=tmp_path, corpus=None, tool=None)
        assert identity(part)["_target_"] == part["_target_"]


@pytest.mark.parametrize(("group", "option"), OPTIONS, ids=lambda part: part)
def test_every_option_is_shown_whole(group: str, option: str) -> None:
    """A key that a YAML file leaves out cannot be set without a + before it."""
    node = getattr(composed(f"{group}={option}"), group)
    if "parts" in node or group in ("dataset", "strategy"):
        return
    left_out = {"home", "tool", "adapter", "questions", "concurrency", "meter", "journal"}
    if option in ("oracle", "scripted"):
        left_out |= {"name"}
    if group == "train" and node.get("method") == "full":
        left_out |= ADAPTERS
    known = {field.name for field in fields(target(node, group)) if field.init}
    assert known - set(node) <= left_out


@pytest.mark.parametrize(("group", "option"), [("train", "lora"), ("tool", "corpus"), ("model", "oracle"),
                                               ("model", "scripted"), ("model", "api"), ("model", "smollm2_135m")])
def test_the_defaults_of_a_class_are_those_of_its_file(group: str, option: str) -> None:
    """So that a plug-in built by hand does what `python main.py` does."""
    node = getattr(composed(f"{group}={option}"), group)
    options = [field for field in fields(target(node, group)) if field.name in node and field.name != "package"]
    written = {field.name: field.default_factory() if field.default is MISSING else field.default for field in options
               if field.default is not MISSING or field.default_factory is not MISSING}
    nested = {name: asdict(value) for name, value in written.items() if is_dataclass(value)}
    given = {name: {option: value for option, value in node[name].items() if option != "_target_"} if name in nested
             else node[name] for name in written}
    assert given == {**written, **nested}


ADAPTERS = {"rank", "alpha", "dropout", "targets", "bias", "bits", "rslora", "dora"}
"""Options of a training that whole models have no use for."""


def test_full_and_lora_share_what_is_not_about_adapters() -> None:
    full, lora = (composed(f"train={option}").train for option in ("full", "lora"))
    assert set(lora) - set(full) == ADAPTERS
    assert {name for name in full if full[name] != lora[name]} == {"method", "learning_rate"}


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_composes_and_has_its_jobs(recipe: str, tmp_path: Path) -> None:
    config = composed(f"experiment={recipe}", f"store={tmp_path}")
    stages = Stages(config)
    assert stages.plays
    assert len({job.key() for job in stages.plays.values()}) == len(stages.plays)
    name = "hotpotqa" if recipe == "released" else "factbook"
    assert [cell.label for cell in stages.evaluations] == [f"{name}/prompted", f"{name}/finetuned"]
    assert stages.train.key()


def test_the_recipes_options_exist() -> None:
    """The sweep that a recipe carries names options that exist."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", overrides=["experiment=strategies"], return_hydra_config=True)
    strategies = OmegaConf.select(cfg, "hydra.sweeper.params.strategy").split(",")
    assert set(strategies) <= {option for group, option in OPTIONS if group == "strategy"}


def test_every_section_of_the_schema_is_in_the_configuration() -> None:
    """And with the same defaults, so that reading config.yaml is enough."""
    config = composed()
    for name, field in Config.model_fields.items():
        value = getattr(config, name)
        if field.is_required():
            continue
        default = field.get_default(call_default_factory=True)
        assert value == default or name in ("curate",), f"{name} differs from the schema's default"


@pytest.mark.parametrize(("override", "sentence"), [
    ("stage=trian", r"stage='trian' does not fit: it must be one of .* \(did you mean train\?\)"),
    ("seed=x", "seed='x' does not fit: input should be a valid integer"),
    ("generate.n=0", "generate.n=0 does not fit: input should be greater than or equal to 1"),
    ("+evaluate.m=3", "evaluate.m is not an option"),
    ("+teacher.mistake=3", r"teacher.mistake is not an option of Oracle \(did you mean mistakes\?\)"),
    ("train.rank=many", "train.rank='many' does not fit: input should be a valid integer"),
    ("model.dtype=float31", r"model.dtype='float31' does not fit: .*did you mean float32"),
    ("curate.filters=[corect]", r"curate.filters.0='corect' does not fit: .*did you mean correct"),
    ("train.audit.dropped=lots", r"train.audit.dropped='lots' does not fit: input should be a valid number"),
    ("+train.audit.droped=1", r"train.audit.droped is not an option \(did you mean dropped\?\)"),
    ("train.rank=0", "train.rank=0 does not fit: input should be greater than or equal to 1"),
    ("train.learning_rate=0", "train.learning_rate=0 does not fit: input should be greater than 0"),
    ("train.threads=0", "train.threads=0 does not fit: input should be greater than or equal to 1"),
    ("tool.k=0", "tool.k=0 does not fit: input should be greater than or equal to 1"),
    ("+tool.description=x", "tool.description is not an option of Corpus"),
    ("model.top_p=0", "model.top_p=0 does not fit: input should be greater than 0"),
    ("model.window=0", "model.window=0 does not fit: input should be greater than or equal to 1"),
    ("teacher.mistakes=1.2", "teacher.mistakes=1.2 does not fit: input should be less than or equal to 1"),
    ("+dataset.train=0", "dataset.train=0 does not fit: input should be greater than or equal to 1"),
    ("model._target_=fireact.model.lokal.Local", "model._target_=fireact.model.lokal.Local cannot be imported"),
    ("model._target_=pathlib.Path", "is not a dataclass"),
])
def test_a_value_that_does_not_fit_gets_one_sentence(override: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence) as error:
        composed(override)
    assert "\n" not in str(error.value)


def test_a_mix_names_parts_that_exist() -> None:
    with pytest.raises(ConfigError, match="the mix names 'tree', which is not a part of it"):
        composed("strategy=react_cot", "strategy.play=tree")


def test_a_missing_value_is_named() -> None:
    with pytest.raises(ConfigError, match="seed"):
        typed(OmegaConf.merge(OmegaConf.create({"seed": "???"})))


def test_a_tool_that_nobody_calls_plays_nothing_again(tmp_path: Path) -> None:
    """Chains of thought of a paid model do not depend on the tool; the scripted expert searches by itself."""
    def key(*options: str) -> str:
        stages = Stages(composed(f"store={tmp_path}", *options))
        return next(iter(stages.plays.values())).key()

    for method, model, same in (("cot", "api", True), ("direct", "api", True), ("react", "api", False),
                                ("cot", "oracle", False)):
        options = (f"strategy={method}", f"model@teacher={model}")
        assert (key(*options) == key(*options, "tool.k=5")) is same


def test_a_split_is_read_once_however_many_jobs_play_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "test.csv").write_text("question,answer\nWho?,me\nWhat?,that\n")
    read: list[str] = []
    rows = table.rows
    monkeypatch.setattr(table, "rows", lambda source: read.append(source) or rows(source))
    stages = Stages(composed("stage=evaluate", "dataset=table", f"dataset.test={tmp_path}/test.csv", "evaluate.n=1",
                             "evaluate.finetuned=false", "evaluate.faults=[none,random]", f"store={tmp_path}/store"))
    check(stages, ["evaluate"])
    assert [question.text for question in stages.questions(stages.evaluations[0].job, "evaluate.n")] == ["Who?"]
    assert len(read) == 1


def test_a_start_has_one_budget_for_all_of_its_stages_and_another_start_another(tmp_path: Path) -> None:
    config = composed(f"store={tmp_path}/store", "budget.run.usd=1")
    first, again = Stages(config), Stages(config)
    assert first.engine(tmp_path) == first.engine(tmp_path)
    assert first.engine(tmp_path).run != again.engine(tmp_path).run
