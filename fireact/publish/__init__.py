"""Give a trained student away: its adapter, the merged model, a GGUF file, each with a card, and on to the hub.

    python main.py stage=publish 'publish.forms=[adapter,merged]' publish.repo=my-name/my-model

It goes on from a finished training of the same configuration, or from inputs.adapter, and tells the scores of the
same configuration's evaluations where these are finished. RUN/published/ has a folder for each form.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fireact import evaluate
from fireact.card import Card, Form, write
from fireact.card.words import base_name, public
from fireact.curate import FUNNEL, TRAIN, read_funnel
from fireact.errors import ConfigError, DataError
from fireact.generate import open_dataset
from fireact.jsonl import write_atomic
from fireact.parity import PARITY, REFERENCE
from fireact.parity.compare import refuse_forms
from fireact.play.played import Played, require
from fireact.plugins import build
from fireact.publish import gguf, hub
from fireact.report import parity_lines
from fireact.schema import Config
from fireact.stages import Stages
from fireact.train import Train

PUBLISHED = "published"
_ADAPTER, _STAMP = "adapter_config.json", "fireact.json"
_NOT_COMPARED = f"publish: the student has no {REFERENCE}, so what is published was not held against its training"


def check(config: Config) -> None:
    """Look at what publishing will need, before any work. Raises ConfigError."""
    options, given = config.publish, config.inputs.adapter
    train = build(config.train, "train")
    whole = not (given / _ADAPTER).is_file() if given else isinstance(train, Train) and train.method == "full"
    if whole and "adapter" in options.forms:
        raise ConfigError("publish.forms names adapter, and the student was trained whole; choose "
                          "publish.forms=[merged]")
    if "gguf" in options.forms:
        gguf.find(options.converter)
    if options.repo:
        for repo in repos(config).values():
            hub.check(repo)


def repos(config: Config) -> dict[Form, str]:
    """Where each form is sent: the first to publish.repo, the others beside it."""
    options = config.publish
    forms = list(dict.fromkeys(options.forms))
    return {form: options.repo + ("" if form == forms[0] else f"-{form}") for form in forms} if options.repo else {}


def publish(stages: Stages, run_dir: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Write RUN/published/ from what training left, and push what is asked for. Returns where each form is.

    Raises ConfigError, DataError, ProviderError.
    """
    config, made = stages.config, stages.folder("merged", stages.merge)
    shutil.rmtree(run_dir / PUBLISHED, ignore_errors=True)
    to, found = repos(config), {}
    name = (config.publish.repo or f"{config.model.get('name')}-{config.name}").split("/")[-1].replace(" ", "-")
    rounded = _forms(made / PARITY)
    if stages.merge.weights:
        print(*(parity_lines(rounded) or [_NOT_COMPARED]), sep="\n", flush=True)
    if config.evaluate.parity.check:
        mend = ("check the base model" if config.publish.dtype == "float32" else
                f"its weights are rounded (publish.dtype={config.publish.dtype}): choose publish.dtype=float32")
        refuse_forms(rounded, config.evaluate.parity.agreement, config.evaluate.parity.difference, mend)
    known = _known(stages, manifest, rounded)
    for form in dict.fromkeys(config.publish.forms):
        folder = run_dir / PUBLISHED / form
        folder.mkdir(parents=True)
        file = f"{public(name)}.gguf" if form == "gguf" else None
        if form == "adapter":
            _copy(stages.merge.adapter, folder)
            _copy(made / "tokenizer", folder)
        elif form == "merged":
            _copy(made / "model", folder)
        elif file:
            gguf.convert(gguf.find(config.publish.converter), made / "model", folder / file, config.publish.gguf_type)
        card = Card(form=form, name=name, repo=to.get(form), file=file, licence=config.publish.licence, **known)
        write_atomic(folder / "README.md", write(card))
        found[form] = {"folder": str(folder.relative_to(run_dir))}
        print(f"publish: {form}: {folder}", flush=True)
    for form, repo in to.items():
        message = f"{form}, by FireAct"
        found[form]["url"] = hub.push(run_dir / PUBLISHED / form, repo, private=config.publish.private, message=message)
        print(f"publish: {form}: {found[form]['url']}", flush=True)
    return found


def _forms(parity: Path) -> dict[str, Any]:
    """The forms of the student in a parity.json, which may not be there."""
    return json.loads(parity.read_text(encoding="utf-8"))["forms"] if parity.is_file() else {}


def _copy(source: Path, to: Path) -> None:
    """Copy a folder's files."""
    for file in sorted(source.iterdir()):
        if file.name in ("README.md", REFERENCE) or not file.is_file():
            continue
        place = to / file.name
        if file.name in (_ADAPTER, _STAMP):
            write_atomic(place, json.dumps(_without_folders(json.loads(file.read_text(encoding="utf-8"))), indent=2))
        else:
            shutil.copyfile(file, place)


def _without_folders(values: dict[str, Any]) -> dict[str, Any]:
    """The base by the name that others know it by."""
    return {name: base_name(value)[0] if name in ("base_model_name_or_path", "base_name") and value else value
            for name, value in values.items()}


def _known(stages: Stages, manifest: Mapping[str, Any], rounded: Mapping[str, Any]) -> dict[str, Any]:
    """What the cards of all forms tell alike; `rounded`: how far the merged model is from the one in training."""
    config, job = stages.config, stages.merge
    stamp: dict[str, Any] = {}
    if (job.adapter / _STAMP).is_file():
        stamp = json.loads((job.adapter / _STAMP).read_text(encoding="utf-8"))
    gate = _forms(stages.folder("parity", stages.parity) / PARITY) if stages.parity else {}
    own = {} if config.inputs.adapter else _data(stages)
    return {"base": str(config.model["source"]), "base_identity": str(stamp.get("base_identity", "unknown")),
            "recipe": stamp.get("train"), "results": stamp.get("results"), "versions": manifest["packages"],
            "scores": _scores(stages), "command": manifest["command"], "commit": manifest["commit"], **own,
            "parity": {**gate, **rounded}}


def _data(stages: Stages) -> dict[str, Any]:
    """What the student was trained on."""
    config, given = stages.config, stages.config.inputs.curated
    folder = given or stages.folder("curate", stages.curate)
    with (folder / TRAIN).open(encoding="utf-8") as lines:
        count = sum(1 for _ in lines)
    facts: dict[str, Any] = {"trajectories": count}
    if not given:
        sources = stages.curate.sources
        facts |= {"datasets": sorted({source.task for source in sources}),
                  "methods": sorted({source.method for source in sources}),
                  "split": sources[0].split if sources else None,
                  "filters": list(stages.curate.filters),
                  "teacher": None if config.inputs.trajectories else _teacher(config)}
    return {"data": facts, "funnel": read_funnel(folder) if (folder / FUNNEL).exists() else None}


def _teacher(config: Config) -> str:
    node = config.teacher
    return str(node.get("name") or node.get("model") or node["_target_"].rpartition(".")[2])


def _scores(stages: Stages) -> dict[str, Any]:
    """The evaluations of this configuration as far as they are finished; nothing is played for them."""
    played: dict[str, Played] = {}
    for cell in stages.evaluations:
        folder = stages.folder("generate", cell.job)
        if not folder.exists():
            continue
        try:
            questions = stages.questions(cell.job, "evaluate.n")
            played[cell.label] = require(folder, open_dataset(cell.job.dataset, cell.job.home), questions,
                                         cell.job.sampling, "evaluate")
        except DataError:
            continue
    cells = [cell for cell in stages.evaluations
             if cell.label in played and (not cell.fault or cell.label.removesuffix(f"/{cell.fault}") in played)]
    return evaluate.gather(cells, played, {cell.label: evaluate.summarize(played[cell.label]) for cell in cells})
