"""The parity gate: is the student that is judged the model that was trained?

    python -m fireact.parity FOLDER/job.json

holds every form of a fine-tuned student against what it said in training (reference.json beside its weights): the
saved weights loaded again, the adapter merged into its base, and the engine that will serve it. Writes parity.json.
"""

import asyncio
import gc
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fireact.curate import HELD_PREFERENCES, PREFERENCES, TRAIN, VALIDATION
from fireact.examples import conversation, name_of
from fireact.jsonl import decode, decode_text, open_file, read_jsonl, write_atomic
from fireact.manifest import installed
from fireact.parity.compare import Probe, compare
from fireact.plugins import Node, build
from fireact.preferences import Preference
from fireact.render import render_prompt
from fireact.sections import Section
from fireact.store import DONE, fingerprint, identity, key
from fireact.tokenize.pairs import sides
from fireact.types import Trajectory

if TYPE_CHECKING:
    from fireact.model.local import Local
    from fireact.model.local.jobs import Judged

VERSION = 2
_COMPUTED_BY = ("torch", "transformers", "peft")
PARITY, REFERENCE = "parity.json", "reference.json"


class ParityJob(Section):
    """Which student is held against its training."""

    model: Node
    adapter: Path
    adapter_key: str | None
    curated: Path | None
    """The trajectories that it was trained on, where they are known."""
    home: Path

    def key(self) -> str:
        """The store key of the folder that holds the result."""
        return key(stage="parity", version=VERSION, model=identity(self.model),
                   adapter=self.adapter_key or fingerprint(self.adapter), libraries=list(map(installed, _COMPUTED_BY)))

    @property
    def gpus(self) -> int:
        """How many GPUs the student is loaded on here, whichever engine serves it as well."""
        return build({**self.model, "engine": "transformers"}, "model").gpus


def run(values: dict[str, Any], folder: Path) -> None:
    """Compare all forms of the student. Raises DataError, ConfigError."""
    job = ParityJob.model_validate(values)
    reference = read_reference(job.adapter)
    student: Local = build(job.model, "model", home=job.home / "weights", adapter=job.adapter)
    found = {"prompts": len(reference), "same_prompts": _same_prompts(job, student, reference),
             "forms": {form: asdict(compare(reference, probes))
                       for form, probes in _forms(student, reference)}}
    write_atomic(folder / PARITY, json.dumps(found, indent=1))
    write_atomic(folder / DONE, json.dumps({"prompts": len(reference)}))


def read_reference(adapter: Path) -> list[Probe]:
    """What the student in this folder said in training. Raises DataError."""
    where = adapter / REFERENCE
    with open_file(where) as file:
        return decode(list[Probe], decode_text(file.read(), str(where)), str(where))


def measure(model: Any, reference: Sequence[Probe]) -> list[Probe]:
    """Judge the reference's replies by a model of transformers."""
    from fireact.model.local.plain import judge

    return [_judged(probe, judge(model, probe.prompt, probe.reply)) for probe in reference]


def _forms(student: "Local", reference: Sequence[Probe]) -> Iterator[tuple[str, list[Probe]]]:
    """Judge them by each form of the student, one in memory at a time."""
    from fireact.model.local import weights

    model = weights.load_apart(student.folder(), student.dtype, student.device, student.adapter)
    adapter = hasattr(model, "peft_config")
    yield "loaded adapter" if adapter else "loaded model", measure(model, reference)
    if adapter:
        model = model.merge_and_unload()
        yield "merged model", measure(model, reference)
    del model
    gc.collect()
    yield "serving engine", asyncio.run(_serve(student, reference))


async def _serve(student: "Local", reference: Sequence[Probe]) -> list[Probe]:
    try:
        judged = await asyncio.gather(*(student.judge(probe.prompt, probe.reply) for probe in reference))
    finally:
        await student.close()
    return [_judged(probe, one) for probe, one in zip(reference, judged, strict=True)]


def _judged(probe: Probe, by: "Judged") -> Probe:
    return replace(probe, greedy=by.greedy, logprobs=by.logprobs)


def _same_prompts(job: ParityJob, student: "Local", reference: Sequence[Probe]) -> float | None:
    """The share of prompts that have the ids which are rendered for playing; None where that cannot be told."""
    records = dict(_trained_on(job.curated)) if job.curated else {}
    tokenizer = student.tokenizer()
    known = [probe for probe in reference if probe.example in records]
    same = [list(probe.prompt) in _prompts(tokenizer, records[probe.example]) for probe in known]
    return sum(same) / len(same) if same else None


def _trained_on(curated: Path) -> Iterator[tuple[str, Trajectory]]:
    """All that may have been trained on, by the names of its examples."""
    for file in (TRAIN, VALIDATION):
        yield from ((name_of(record), record) for record in read_jsonl(curated / file, Trajectory))
    for file in (PREFERENCES, HELD_PREFERENCES):
        if (curated / file).exists():
            yield from sides(list(read_jsonl(curated / file, Preference)))


def _prompts(tokenizer: Any, record: Trajectory) -> list[list[int]]:
    """What the student is shown before each of its turns when it plays."""
    messages, _ = conversation(record)
    return [render_prompt(tokenizer, messages[:turn], tools=record.tools) for turn, message in enumerate(messages)
            if message.role == "assistant"]
