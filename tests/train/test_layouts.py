"""The files of conf/accelerate, and the recipes of the Llama students: do they load, and do they fit?"""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils import DistributedType
from transformers import LlamaConfig

from fireact.errors import DataError
from fireact.plugins import build
from fireact.train import Train, memory, ranks
from tests.helpers import ROOT, composed
from tests.train.conftest import MakeJob

FILES = sorted((ROOT / "conf" / "accelerate").glob("*"))
RECIPES = sorted((ROOT / "conf" / "experiment" / "llama").glob("[!_]*.yaml"))
SMALL = {"hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32, "intermediate_size": 11008}
MIDDLE = {"hidden_size": 5120, "num_hidden_layers": 40, "num_attention_heads": 40, "intermediate_size": 13824}
SHAPES: dict[str, dict[str, Any]] = {
    "llama2_7b": {**SMALL, "vocab_size": 32000}, "llama2_13b": {**MIDDLE, "vocab_size": 32000},
    "codellama_7b": {**SMALL, "vocab_size": 32016}, "codellama_13b": {**MIDDLE, "vocab_size": 32016},
    "codellama_34b": {"hidden_size": 8192, "num_hidden_layers": 48, "num_attention_heads": 64,
                      "num_key_value_heads": 8, "intermediate_size": 22016, "vocab_size": 32000}}
"""As the models' config.json on the hub have them."""


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_file_is_what_accelerates_launcher_takes(file: Path) -> None:
    parser = launch_command_parser()
    known = {action.dest for action in parser._actions}
    assert set(yaml.safe_load(file.read_text(encoding="utf-8")).get("fsdp_config", {})) <= known
    config = load_config_from_file(str(file))
    args = parser.parse_args(["--config_file", str(file), "script.py"])
    args, _, _ = _validate_launch_command(args)
    sizes = [int(number) for number in re.findall(r"\d+", file.stem.partition("_")[2])]
    assert args.num_processes == (sizes[0] if len(sizes) == 1 else sizes[0] * sizes[1])
    assert args.num_machines == (1 if len(sizes) == 1 else sizes[0])
    assert args.use_fsdp is file.stem.startswith("fsdp2")
    assert args.use_deepspeed is file.stem.startswith("zero2")
    assert args.multi_gpu is file.stem.startswith("ddp")
    if args.use_fsdp:
        assert config.distributed_type == DistributedType.FSDP
        assert args.fsdp_version == 2
        assert args.fsdp_reshard_after_forward is True
    if args.use_deepspeed:
        assert config.distributed_type == DistributedType.DEEPSPEED
        assert (args.zero_stage, args.offload_optimizer_device) == (2, "none")


def test_hydra_does_not_take_the_files_for_options() -> None:
    assert FILES
    assert all(file.suffix == ".yml" for file in FILES)


def test_the_other_machines_are_told_how_to_join(tmp_path: Path) -> None:
    two, one = (ROOT / "conf" / "accelerate" / name for name in ("fsdp2_2x8.yml", "fsdp2_8.yml"))
    line = ranks.other_machines(two, tmp_path / "worker.json")
    assert line == (f"on each of the other 1 machines: accelerate launch --config_file {two} --machine_rank N "
                    f"-m fireact.train.worker {tmp_path}/worker.json")
    assert ranks.other_machines(one, tmp_path / "worker.json") is None


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.stem)
def test_every_recipe_fits_80_gb_and_says_how_much_it_takes(recipe: Path) -> None:
    config = composed(f"experiment=llama/{recipe.stem}")
    model, _, gpus = recipe.stem.removesuffix("gpu").rpartition("_")
    assert config.name == recipe.stem
    assert config.model == composed(f"model={model}").model
    train = build(config.train, "train")
    shards = 1
    if train.accelerate_config:
        shards = load_config_from_file(str(ROOT / train.accelerate_config)).num_processes
    assert shards == int(gpus)
    expected = memory.estimate(LlamaConfig(**SHAPES[model]), train, train.micro_batch_tokens, torch.bfloat16,
                               memory.Shards(shards, shards, shards))
    assert expected.total < 80e9
    said = re.search(r"about (\d+) GB on each", recipe.read_text(encoding="utf-8"))
    assert said
    assert int(said[1]) == round(expected.total / 1e9)
    assert f"{said[1]} GB" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_all_students_have_recipes() -> None:
    assert {recipe.stem for recipe in RECIPES} == {f"{model}_{gpus}gpu" for model in SHAPES for gpus in (1, 4, 8)}


@pytest.mark.parametrize(("text", "sentence"), [
    (": [ not yaml {", r"bad\.yml is no YAML \("), ("- a\n- b\n", "holds no options by name"), ("\x00", "is no YAML"),
    ("", "holds no options by name")])
def test_a_file_that_is_none_of_accelerates_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "bad.yml").write_text(text)
    with pytest.raises(DataError, match=sentence) as failure:
        ranks.refuse(tmp_path / "bad.yml")
    assert "\n" not in str(failure.value)


def test_what_a_rank_refuses_is_one_sentence(make_job: MakeJob, tmp_path: Path,
                                             capfd: pytest.CaptureFixture[str]) -> None:
    job = make_job(targets=["w_proj"])
    (tmp_path / "out").mkdir()
    job = job.rename(tmp_path / "out" / "worker.json")
    with pytest.raises(DataError, match=r"'w_proj', which is no linear module .* down_proj"):
        ranks.run(Train(processes=2), job)
    assert "Traceback" not in "".join(capfd.readouterr())
