"""The options of conf/model: each is one known class with other values, and composes as student and as teacher."""

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from fireact import plugins
from fireact.errors import ConfigError
from fireact.model.api import Api
from fireact.model.local import Local
from fireact.model.oracle import Oracle
from fireact.model.scripted import Scripted
from fireact.render import render, render_prompt
from fireact.strategy.prompts import preamble
from fireact.types import Message
from tests.helpers import ROOT
from tests.model.tiny import tiny_tokenizer

FOLDER = ROOT / "conf" / "model"
OPTIONS = sorted(path.stem for path in FOLDER.glob("[!_]*.yaml"))
PAPER = {"llama2_7b", "llama2_13b", "codellama_7b", "codellama_13b", "codellama_34b", "gpt_3_5", "gpt_4"}
"""The students and the teacher of FireAct's Tables 1 and 2."""
TEMPLATES = {"Qwen/Qwen2.5-": "qwen2_5", "Qwen/Qwen3-4B-Instruct-2507": "qwen3_instruct_2507", "Qwen/Qwen3-": "qwen3",
             "meta-llama/Llama-3.1-": "llama3_1", "meta-llama/Llama-3.2-": "llama3_2"}
"""By the beginning of a hub id, the first that fits: the name of its chat template in the package trl."""


def node(option: str, *overrides: str) -> dict[str, Any]:
    """Compose one option alone."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(FOLDER.parent), version_base="1.3"):
        cfg = compose(f"model/{option}", overrides=list(overrides))
    values = OmegaConf.to_container(cfg.model, resolve=True)
    assert isinstance(values, dict)
    return {str(name): value for name, value in values.items()}


def of_class(cls: type) -> list[str]:
    return [option for option in OPTIONS if plugins.target(node(option), "model") is cls]


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_passes_the_schema_and_has_no_code_of_its_own(option: str) -> None:
    values = node(option)
    plugins.check(values, "model")
    assert plugins.target(values, "model") in (Local, Api, Oracle, Scripted)
    assert "???" not in values.values()


@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_is_the_same_as_a_teacher(option: str) -> None:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(FOLDER.parent), version_base="1.3"):
        cfg = compose(None, overrides=[f"+model@teacher={option}"])
    assert OmegaConf.to_container(cfg.teacher) == node(option)


def test_the_papers_models_are_options() -> None:
    assert set(OPTIONS) >= PAPER
    assert node("gpt_4")["temperature"] == node("gpt_3_5")["temperature"] == 0
    for option in PAPER - {"gpt_3_5", "gpt_4"}:
        assert re.search(r"-(chat|Instruct)-hf$", node(option)["source"])


def test_every_local_option_is_another_model_of_the_hub() -> None:
    nodes = [node(option) for option in of_class(Local)]
    assert len({values["source"] for values in nodes}) == len({values["name"] for values in nodes}) == len(nodes)
    for values in nodes:
        assert re.fullmatch(r"[\w-]+/[\w.-]+", values["source"])


@pytest.mark.parametrize("option", of_class(Local))
def test_an_option_says_what_its_weights_cost(option: str) -> None:
    """Large ones are not loaded in float32, and who may have them is said."""
    values, text = node(option), (FOLDER / f"{option}.yaml").read_text()
    size = re.search(r"-([\d.]+)B", values["name"], re.IGNORECASE)
    assert values["dtype"] == ("bfloat16" if size and float(size[1]) >= 3 else "auto")
    assert ("HF_TOKEN" in text) == values["source"].startswith("meta-llama/")
    assert "Apache 2.0" in text or "Community License" in text or values["package"]


def test_a_hosted_option_elsewhere_names_where_its_key_is() -> None:
    nodes = [node(option) for option in of_class(Api)]
    elsewhere = [values for values in nodes if values["base_url"]]
    assert elsewhere
    for values in elsewhere:
        assert values["base_url"].startswith("https://")
        assert re.fullmatch(r"[A-Z_]+_API_KEY", values["key_env"])


def test_a_model_of_ones_own_needs_a_name_and_a_source() -> None:
    values = node("_local", "model.name=mine", "model.source=/my/folder")
    plugins.check(values, "model")
    assert (values["name"], values["source"]) == ("mine", "/my/folder")
    del values["source"]
    with pytest.raises(ConfigError, match=r"model\.source is missing"):
        plugins.build(values, "model", home=Path("unused"))


def published_template(source: str) -> str:
    """The chat template of a hub model as the package trl keeps it; the test skips where there is none."""
    found = importlib.util.find_spec("trl")
    name = next((name for start, name in TEMPLATES.items() if source.startswith(start)), None)
    path = Path(found.origin).parent / "chat_templates" / f"{name}.jinja" if found and found.origin else None
    if name is None or path is None or not path.is_file():
        pytest.skip(f"the chat template of {source} is not on this disk")
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("option", of_class(Local))
def test_a_conversation_begins_with_its_prompt_in_the_models_chat_template(option: str) -> None:
    """What a template gets wrong here would be refused only after the weights are downloaded."""
    control = ("<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>")
    tokenizer = tiny_tokenizer(published_template(node(option)["source"]), control)
    talk = [*preamble("react", "hotpotqa"), Message("user", "Who?"), Message("assistant", "Action: finish[she]")]
    ids, mask = render(tokenizer, talk)
    prompt = render_prompt(tokenizer, talk[:-1])
    assert ids[: len(prompt)] == prompt
    assert str(tokenizer.decode(ids[len(prompt):])).startswith("Action: finish[she]")
    assert sum(mask[len(prompt):]) > 0
