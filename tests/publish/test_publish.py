"""A finished training is given away: its forms, their cards, and what arrives on a hub."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.conftest import MadeOnce, command, environment
from tests.helpers import ROOT
from tests.publish.hub import TOKEN, Hub, serve

SMALL = ("model=tiny_a", "generate.n=12", "curate.n=4", "curate.validation=2", "evaluate.n=2", "train.batch_size=2",
         "train.max_steps=3", "curate.filters=[finished,correct]")
CONVERTER = """
import sys
from pathlib import Path
model, out = Path(sys.argv[1]), Path(sys.argv[sys.argv.index("--outfile") + 1])
assert (model / "model.safetensors").is_file() and (model / "tokenizer.json").is_file()
out.write_bytes(b"GGUF" + sys.argv[sys.argv.index("--outtype") + 1].encode())
"""


class Place:
    """A store with a finished pipeline, and runs on it."""

    def __init__(self, folder: Path, options: Path, home: Path) -> None:
        self.folder, self.options, self.store = folder, options, folder / "store"
        self.store.mkdir(exist_ok=True)
        if not (self.store / "home").exists():
            (self.store / "home").symlink_to(home, target_is_directory=True)

    def run(self, *given: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        line = command(self.folder, self.store, "--config-dir", str(self.options), *SMALL, *given)
        return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, env={**environment(), **variables})

    @property
    def published(self) -> Path:
        return self.folder / "run" / "published"


@pytest.fixture(scope="module")
def place(made_once: MadeOnce, tmp_path_factory: pytest.TempPathFactory, tiny_options: Path,
          shared_home: Path) -> Place:
    def fill(folder: Path) -> None:
        done = Place(folder, tiny_options, shared_home).run()
        assert done.returncode == 0, done.stdout + done.stderr

    made = tmp_path_factory.mktemp("place")
    shutil.copytree(made_once("published", fill), made, symlinks=True, dirs_exist_ok=True)
    return Place(made, tiny_options, shared_home)


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serve() as found:
        yield found


def online(hub: Hub) -> dict[str, str]:
    return {"HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1",
            "NO_PROXY": "127.0.0.1"}


def greedy(model, tokenizer) -> str:
    prompt = tokenizer.apply_chat_template([{"role": "user", "content": "Question: Where is Paris?"}],
                                           add_generation_prompt=True, return_tensors="pt", return_dict=True)
    return tokenizer.decode(model.generate(**prompt, max_new_tokens=24, do_sample=False)[0])


def test_every_form_is_written_and_works(place: Place, tmp_path: Path) -> None:
    converter = tmp_path / "convert_hf_to_gguf.py"
    converter.write_text(CONVERTER)
    done = place.run("stage=publish", "publish.forms=[adapter,merged,gguf]", LLAMA_CPP=str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert (place.published / "gguf" / "tiny_a-default.gguf").read_bytes() == b"GGUFf16"
    adapter, merged = place.published / "adapter", place.published / "merged"
    assert {"model.safetensors", "config.json", "generation_config.json", "tokenizer.json", "README.md"} <= {
        path.name for path in merged.iterdir()}
    base = place.options / "weights" / "tiny_a"
    tokenizer = AutoTokenizer.from_pretrained(merged)
    whole = AutoModelForCausalLM.from_pretrained(merged)
    beside = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), str(adapter))
    assert greedy(whole, tokenizer) == greedy(beside, tokenizer)
    assert whole.dtype == torch.float32
    assert tokenizer.chat_template == AutoTokenizer.from_pretrained(adapter).chat_template

    assert "| published model in float32 |" in (merged / "README.md").read_text(encoding="utf-8")
    for form in ("adapter", "merged", "gguf"):
        card = ModelCard.load(place.published / form / "README.md", ignore_metadata_errors=False)
        assert card.data.eval_results[0].metric_type == "exact_match"
        assert card.data.license == "unknown"
        assert "The licence of the base is not known here" in card.text
        assert "not distinguishable" in card.text or "than prompted" in card.text
        assert "| learning rate | 0.001 |" in card.text
    for file in (path for path in place.published.rglob("*") if path.suffix in (".md", ".json", ".jinja")):
        text = file.read_text(encoding="utf-8")
        assert str(place.folder) not in text, file
        assert str(place.options) not in text, file


@pytest.mark.parametrize("form", ["adapter", "merged"])
def test_the_example_of_a_card_works(place: Place, form: str) -> None:
    assert place.run("stage=publish", f"publish.forms=[{form}]").returncode == 0
    text = (place.published / form / "README.md").read_text(encoding="utf-8")
    code = text.partition("```python\n")[2].partition("```")[0]
    assert len(code.splitlines()) == 6
    # The base is a folder here; the card and the adapter name only its last part.
    link = place.published / form / "tiny_a"
    link.symlink_to(place.options / "weights" / "tiny_a", target_is_directory=True)
    done = subprocess.run([sys.executable, "-c", code], cwd=place.published / form, env=environment(), text=True,
                          capture_output=True)
    assert done.returncode == 0, done.stderr
    assert "Norway" in done.stdout


def test_what_is_pushed_arrives_byte_for_byte(place: Place, hub: Hub) -> None:
    options = ("stage=publish", "publish.forms=[merged,adapter]", "publish.repo=mine/student", "publish.licence=mit")
    for _ in range(2):
        done = place.run(*options, **online(hub))
        assert done.returncode == 0, done.stdout + done.stderr
    assert f"publish: merged: {hub.url}/mine/student" in done.stdout
    for form, repo in (("merged", "mine/student"), ("adapter", "mine/student-adapter")):
        sent = {path.name: path.read_bytes() for path in (place.published / form).iterdir()}
        assert hub.repos[repo] == sent
    assert all(wanted["visibility"] == "private" if "visibility" in wanted else wanted["private"]
               for wanted in hub.made)
    assert len(hub.made) == 2
    assert b"AutoTokenizer.from_pretrained('mine/student')" in hub.repos["mine/student"]["README.md"]
    assert b"license: mit" in hub.repos["mine/student"]["README.md"]
    assert json.loads((place.folder / "run" / "metrics.json").read_text())["publish"]["merged"]["url"]
    holding = [path for path in place.folder.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]
    assert holding == []
    assert TOKEN not in done.stdout + done.stderr


@pytest.mark.parametrize(("options", "sentence"), [
    ("publish.forms=[gguf] publish.converter=/none.py", "publish.converter=/none.py is no file"),
    ("publish.forms=[merged] publish.dtype=bfloat16 evaluate.parity.difference=1e-9",
     "parity: the published model in bfloat16 is not the model that was trained"),
    ("seed=7", "which is not done for this configuration; run it first"),
])
def test_what_cannot_be_published_is_one_sentence(place: Place, options: str, sentence: str) -> None:
    done = place.run("stage=publish", *options.split())
    assert done.returncode == 2
    assert sentence in done.stderr, done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("stage", ["publish", "evaluate"])
def test_a_student_that_was_changed_is_no_longer_taken_for_the_one_that_was_trained(place: Place, stage: str) -> None:
    weights = next((place.store / "train").glob("*/adapter/adapter_model.safetensors"))
    before = weights.read_bytes()
    weights.write_bytes(before[:-4] + b"else")
    done = place.run(f"stage={stage}", "evaluate.n=1", "publish.forms=[merged]", "publish.dtype=float16")
    weights.write_bytes(before)
    assert done.returncode == 2
    assert f"{weights} is not what was written there; put that back, delete" in done.stderr
    assert not any('"dtype":"float16"' in job.read_text(encoding="utf-8").replace(" ", "")
                   for job in (place.store / "merged").glob("*/job-*.json"))
    assert place.run(f"stage={stage}").returncode == 0


def test_a_converter_that_fails_says_why(place: Place, tmp_path: Path) -> None:
    converter = tmp_path / "broken.py"
    converter.write_text("import sys\nprint('loading', file=sys.stderr)\nsys.exit('Model LlamaX is not supported')\n")
    done = place.run("stage=publish", "publish.forms=[gguf]", f"publish.converter={converter}")
    assert done.returncode == 2
    assert "broken.py ended with exit code 1 and made no GGUF file: Model LlamaX is not supported" in done.stderr
    assert not list((place.published / "gguf").iterdir())


def test_an_adapter_of_another_run_is_published_without_its_data(place: Place, tmp_path: Path) -> None:
    found = next((place.store / "train").glob("*/adapter"))
    done = place.run("stage=publish", f"inputs.adapter={found}", "evaluate.n=2", "seed=5")
    assert done.returncode == 0, done.stdout + done.stderr
    card = (place.published / "adapter" / "README.md").read_text(encoding="utf-8")
    assert "which ones is not known here" in card
    assert "Not evaluated." in card
    assert "| learning rate | 0.001 |" in card
