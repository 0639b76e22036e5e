"""The model card, README.md: what a fine-tuned student is, what it was taught, how, and what it reaches.

A training writes one with what it knows, `stage=publish` one with the data and the scores as well. The YAML in front
is what huggingface_hub's ModelCard reads.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

import yaml

from fireact import __version__
from fireact.card import licence as licences
from fireact.card.words import base_name, code, facts, plain, public, table
from fireact.options import RUNTIME
from fireact.report.text import GUISES, contaminated, difference, drops_evaluated, funnel_table, percent
from fireact.store import fingerprint
from fireact.train import Train

Form = Literal["adapter", "merged", "gguf"]
_OF_ADAPTERS = ("rank", "alpha", "rslora", "dora", "dropout", "targets", "bias", "bits")
_KINDS: dict[Form, str] = {"adapter": "A LoRA adapter in PEFT's format", "merged": "A whole model as safetensors",
                           "gguf": "A whole model as GGUF, for llama.cpp"}


@dataclass(frozen=True)
class Card:
    """What a card tells; what is None is not known, and said to be so."""

    form: Form
    name: str
    base: str
    """Where the base came from: a hub id, or a folder, of which only the name is told."""
    base_identity: str
    recipe: Mapping[str, Any] | None
    """The options of the training that count, by name."""
    results: Mapping[str, Any] | None
    """What the training reached, see fireact/train/worker.py."""
    versions: Mapping[str, str]
    licence: str | None = None
    """None: that of the base."""
    repo: str | None = None
    """Where it can be loaded from."""
    file: str | None = None
    """The GGUF file."""
    funnel: Mapping[str, Any] | None = None
    """What curation kept, see fireact.curate.read_funnel."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """More about the data, by name."""
    scores: Mapping[str, Any] | None = None
    """See fireact.evaluate.gather; empty where nothing was evaluated, None where nobody has looked."""
    parity: Mapping[str, Any] = field(default_factory=dict)
    """Each form of the student with the fields of `fireact.parity.compare.Parity`."""
    command: str | None = None
    commit: str | None = None


def recipe(train: Train) -> dict[str, Any]:
    """The options of a training that can change its result, as plain values: a folder by the hash of what is in it."""
    hints = get_type_hints(Train, include_extras=True)
    counted = {one.name for one in fields(train) if RUNTIME not in get_args(hints[one.name])[1:]}
    return {name: fingerprint(value) if isinstance(value, Path) else value
            for name, value in asdict(train).items() if name in counted}


def write(card: Card) -> str:
    """The card as markdown, with its YAML in front."""
    base, is_id = base_name(card.base)
    named = f"[{plain(base)}](https://huggingface.co/{base})" if is_id else plain(base)
    lines = ["---", yaml.safe_dump(_front(card), sort_keys=False, allow_unicode=True, width=1000).rstrip(), "---", "",
             f"# {plain(card.name)}", "",
             f"{_KINDS[card.form]}: {named}, fine-tuned as a language agent, which thinks, calls a tool and answers, "
             f"by FireAct {__version__}.", "",
             f"Base model: {named} (identity {code(card.base_identity)})", "",
             *_usage(card), *_data(card), *_recipe(card), *_scores(card), *_parity(card),
             "## Licence", "", f"{code(_licence(card))}. {licences.follows(_licence(card), card.base)}", "",
             "## Versions", "", *facts(card.versions.items())]
    return "\n".join(lines)


def _licence(card: Card) -> str:
    return public(card.licence or licences.of_base(card.base))


def _front(card: Card) -> dict[str, Any]:
    base, is_id = base_name(card.base)
    front: dict[str, Any] = {"base_model": base} if is_id else {}
    library = {"adapter": "peft", "merged": "transformers", "gguf": "gguf"}[card.form]
    front |= {"library_name": library, "license": _licence(card), "pipeline_tag": "text-generation",
              "tags": ["fireact", "agent", *(["lora"] if card.form == "adapter" else [])]}
    if is_id:
        front["base_model_relation"] = {"adapter": "adapter", "merged": "finetune", "gguf": "quantized"}[card.form]
    scored = {name: part["finetuned"] for name, part in (card.scores or {}).items() if "finetuned" in part}
    if scored:
        front["model-index"] = [{"name": public(card.name), "results": [_result(*one) for one in scored.items()]}]
    return front


def _result(dataset: str, summary: Mapping[str, Any]) -> dict[str, Any]:
    metrics = [{"type": kind, "name": f"{name}, n = {summary['n']}", "value": round(summary[key], 6)}
               for kind, name, key in (("exact_match", "exact match", "em"), ("f1", "F1", "f1"))]
    return {"task": {"type": "text-generation", "name": "question answering with a tool"},
            "dataset": {"type": public(dataset), "name": public(dataset)}, "metrics": metrics}


def _usage(card: Card) -> list[str]:
    where = public(card.repo or ".")
    if card.form == "gguf":
        return ["## Use", "", "```bash", f"llama-cli -m {public(card.file or 'model.gguf')} -cnv", "```", ""]
    needs = "transformers and peft" if card.form == "adapter" else "transformers"
    return ["## Use", "", f"With {needs} installed" + ("" if card.repo else ", in this folder") + ":", "", "```python",
            "from transformers import AutoModelForCausalLM, AutoTokenizer",
            f"tokenizer = AutoTokenizer.from_pretrained({where!r})",
            f"model = AutoModelForCausalLM.from_pretrained({where!r})",
            'talk = [{"role": "user", "content": "Which country is larger, Norway or Sweden?"}]',
            'prompt = tokenizer.apply_chat_template(talk, add_generation_prompt=True, return_tensors="pt", '
            "return_dict=True)",
            "print(tokenizer.decode(model.generate(**prompt, max_new_tokens=96)[0]))", "```", "",
            "It writes a thought and an action, and goes on once it is shown `Observation: ...`.", ""]


def _data(card: Card) -> list[str]:
    lines = facts(card.data.items())
    if card.funnel:
        found = funnel_table(card.funnel["cells"])
        lines += table(found.head, found.rows)
        told = contaminated(card.funnel["contamination"], dropped=drops_evaluated(card.funnel["cells"]))
        lines += [*(f"- {plain(line)}" for line in told or
                    ["No evaluated question was found among the training questions."]), ""]
    return ["## Data", "", *(lines or ["Trajectories of a language agent; which ones is not known here.", ""])]


def _recipe(card: Card) -> list[str]:
    made = [f"- command: {code(card.command)}"] if card.command else []
    made += [f"- commit: {code(card.commit)}"] if card.commit else []
    results = ["### What the training reached", "", *facts(card.results.items())] if card.results else []
    options = facts(_options(card.recipe)) if card.recipe else ["Not known here.", ""]
    return ["## Recipe", "", *made, *([""] if made else []), *options, *results]


def _options(recipe: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The options that played a part, those in a group by its name and theirs."""
    idle = {*(_OF_ADAPTERS if recipe.get("method") == "full" else ()),
            *(("judge_episodes",) if recipe.get("judge") != "episodes" else ())}
    for name, value in recipe.items():
        if isinstance(value, Mapping):
            yield from ((f"{name} {part}", one) for part, one in value.items())
        elif name not in idle:
            yield name, value


def _scores(card: Card) -> list[str]:
    if card.scores is None:
        return []
    rows, told = [], []
    for dataset, part in card.scores.items():
        faults = {f", tool fault {fault}": by for fault, by in part.get("faults", {}).items()}
        for suffix, by_guise in {"": part, **faults}.items():
            rows += [(f"{dataset}{suffix}", label, by_guise[guise]["n"], percent(by_guise[guise]["em"],
                      by_guise[guise]["em_se"]), percent(by_guise[guise]["f1"], by_guise[guise]["f1_se"]))
                     for guise, label in GUISES.items() if guise in by_guise]
        if "difference" in part:
            told.append(f"- {plain(dataset)}: {plain(difference(part['difference']))}")
    body = table(("dataset", "student", "n", "EM % ± s.e.", "F1 % ± s.e."), rows) or ["Not evaluated.", ""]
    return ["## Scores", "", *body, *told, *([""] if told else [])]


def _parity(card: Card) -> list[str]:
    if not card.parity:
        return []
    rows = [(form, f"{part['tokens']:,}", f"{part['same_greedy']:.2%}", f"{part['largest_difference']:.2g}")
            for form, part in card.parity.items()]
    return ["## Parity", "", "How far each form of the student agrees with the model as it was trained:", "",
            *table(("form", "tokens", "same token", "largest difference of a log-probability"), rows)]
