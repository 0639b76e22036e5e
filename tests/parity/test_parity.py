"""The parity gate: a student that is what was trained passes, one that is not does not."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from fireact import parity
from fireact.errors import DataError
from fireact.parity.compare import Probe, compare, refuse_forms, refuse_prompts
from fireact.train import prepare
from tests.model.tiny import tiny_model
from tests.train.test_prepare import RECORDS, job


@pytest.fixture(scope="module", params=["lora", "full"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A tiny student, trained for a few steps, and the job that compares it."""
    folder = tmp_path_factory.mktemp("trained")
    values = job(folder, tiny_model(tmp_path_factory.mktemp("student")), RECORDS, method=request.param, max_steps=3,
                 learning_rate=1e-2)
    prepare.run(values, folder)
    return {"model": values["model"], "adapter": str(folder / ("adapter" if request.param == "lora" else "model")),
            "adapter_key": None, "curated": str(folder), "home": values["home"]}


def found(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    parity.run(values, folder)
    return json.loads((folder / parity.PARITY).read_text(encoding="utf-8"))


def test_every_form_of_the_student_is_the_one_that_was_trained(trained: dict[str, Any], tmp_path: Path) -> None:
    result = found(trained, tmp_path)
    lora = trained["adapter"].endswith("adapter")
    assert list(result["forms"]) == (["loaded adapter", "merged model", "serving engine"] if lora else
                                     ["loaded model", "serving engine"])
    for form in result["forms"].values():
        assert form["same_greedy"] == 1
        assert form["largest_difference"] < 1e-4
        assert form["tokens"] > 15
    assert result["same_prompts"] == 1
    refuse_prompts(result["same_prompts"])
    refuse_forms(result["forms"], 0.95, 0.5)


def test_other_weights_are_found_out(trained: dict[str, Any], tmp_path: Path) -> None:
    adapter = Path(trained["adapter"])
    file = next(adapter.glob("*model.safetensors"))
    before = file.read_bytes()
    weights = load_file(file)
    torch.manual_seed(0)
    try:
        save_file({name: torch.randn_like(weight) if "v_proj" in name else weight for name, weight in weights.items()},
                  file, metadata={"format": "pt"})
        result = found(trained, tmp_path)
    finally:
        file.write_bytes(before)
    with pytest.raises(DataError, match=r"parity: the loaded (adapter|model) is not the model that was trained: it "
                                        r"would write the same token in .*evaluate\.parity\.difference"):
        refuse_forms(result["forms"], 0.95, 0.5)


def test_another_template_is_found_out(trained: dict[str, Any], tmp_path: Path) -> None:
    result = found({**trained, "model": {**trained["model"], "template": "alpaca"}}, tmp_path)
    assert result["same_prompts"] == 0
    with pytest.raises(DataError, match=r"only 0% of the fixed prompts have the ids that were trained on"):
        refuse_prompts(result["same_prompts"])


def test_prompts_that_nobody_knows_are_not_compared(trained: dict[str, Any], tmp_path: Path) -> None:
    assert found({**trained, "curated": None}, tmp_path)["same_prompts"] is None


def test_a_comparison_counts_tokens() -> None:
    one = Probe("a", [1], [2, 3], [2, 3], [-0.5, -1.0])
    result = compare([one, one], [one, replace(one, greedy=[2, 4], logprobs=[-0.5, -1.25])])
    assert (result.tokens, result.same_greedy, result.largest_difference) == (4, 0.75, 0.25)
    assert result.mean_difference == pytest.approx(0.0625)
