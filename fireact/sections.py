"""The sections of a run's configuration: which keys there are, and of which type.

No plug-in and nothing of Hydra here: fireact/schema.py puts the sections together.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from fireact.options import Count, NotNegative, Positive, Share

MOST_ATTEMPTS = 1000
Mode = Literal["record", "replay", "strict", "off"]
"""replay: what is on the tape is not asked again, what is missing is asked and recorded. record: a job asks anew for
all that other jobs have recorded, but goes on from its own records. strict: what is missing is an error. off: no
tape. What SerpAPI and Wikipedia answered is kept below the tape too, as it came (web.sqlite), in every mode."""
Gpus = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)] | Literal["all"] | None
"""Which GPUs of this machine are shared out among stages, numbered as torch counts those that are visible; one that is
named twice takes two stages at once. all: those that are visible. None: none, a stage sees what its run sees."""
Number = Count | None | dict[str, Annotated[int, Field(ge=0)] | None]
"""How many questions: the first n, all (None), or so many of each dataset by its name; 0 leaves a dataset out."""
Word = Annotated[str, BeforeValidator(lambda given: given if isinstance(given, str) else json.dumps(given))]
"""A value as the command line has it: 8, true and null are words too."""


class Section(BaseModel):
    """A part of the configuration; a key that is not declared is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


FilterName = Literal["finished", "correct", "no_repeat", "no_format_error", "supported", "not_evaluated", "fits"]
Attempts = Annotated[int, Field(ge=1, le=MOST_ATTEMPTS)]


class Generate(Section):
    """What the teacher plays."""

    split: str = "train"
    n: Number = 650
    """How many questions of each dataset, the first of the split's fixed order; None for all."""
    attempts: Attempts = 1
    """How often each question is played, each time as another sample."""
    until_correct: bool = False
    """Play further attempts only until one is right, so that harder questions get more of them."""
    kept: Count | None = None
    """Stop once so many attempts pass those of curate.filters that look at an attempt alone. Those of the first
    questions count, in the order of the split, so that the same are taken whichever ended first."""


class Own(Section):
    """What the student plays itself, where inputs.player names an adapter of its own; see fireact/own.py."""

    n: Number = 300
    skip: Annotated[int, Field(ge=0)] = 0
    """So many of the first questions are left out, e.g. those that the teacher plays and the student has learnt."""
    attempts: Attempts = 4
    until_correct: bool = True
    temperature: NotNegative = 0.7
    """Of all its replies, so that attempts differ."""
    ratio: Positive = 1.0
    """At most so many of its own trajectories are trained on for each of the teacher's."""


class Improve(Section):
    """Rounds in which the student is its own teacher, by stage=improve; see fireact/improve.py."""

    rounds: Annotated[int, Field(ge=0)] = 0
    """At most so many after round 0, in which the student learns from the teacher alone."""
    start: Literal["base", "last"] = "base"
    """Each round trains the base anew, as STaR does, or goes on from the adapter of the round before."""
    n: Number = 100
    """How many questions of the validation split judge a round."""
    patience: Count = 1
    """It ends when the last so many rounds were worse than the best one, be it by chance."""


class Sampling(Section):
    """How often the questions of a job are played, see `Generate`."""

    attempts: int = 1
    until_correct: bool = False
    kept: int | None = None
    filters: list[FilterName] = []
    """What is worth keeping."""

    @property
    def turns(self) -> int:
        """How many turns a question has: attempts that end with the first right one are a single turn."""
        return 1 if self.until_correct else self.attempts


class Limits(Section):
    """Where the driver ends an episode, whatever the strategy wants."""

    errors: Count = 3
    """Replies in a row that break the grammar or call an unknown tool."""
    calls: Count | None = None
    """Replies of the model, so that frameworks can be compared by as many."""
    tokens: Count | None = None
    """Tokens of all its completions together."""
    seconds: Positive | None = None
    """Of its whole time, with what it waits for its turn where an endpoint takes fewer requests than there might be."""


class Curate(Section):
    """Which of the teacher's trajectories are trained on."""

    keep: Literal["first_correct", "all"] = "first_correct"
    """Of a question's attempts that pass the filters: the first, or all."""
    filters: list[FilterName] = list(FilterName.__args__)
    """Applied in this order; see fireact/curate.py for what each means."""
    n: Count | None = None
    """How many to train on; None takes `counts`, the strategy's counts, or all that are left."""
    counts: dict[str, dict[str, Annotated[int, Field(ge=0)]]] | None = None
    """How many of each dataset by each method, e.g. {hotpotqa: {react: 500, cot: 187}}, in place of all shares."""
    validation: Annotated[int, Field(ge=0)] = 16
    """How many of the kept ones are held out for the validation loss."""
    window: Count | None = None
    """The longest sequence in tokens for the filter `fits`; None takes the student's own window."""
    pairs: Annotated[int, Field(ge=0)] | None = None
    """At most so many pairs of a good and a bad trajectory of each question; None: 1 where the training or the export
    is of pairs, else none."""


class Gate(Section):
    """How near the student that plays must be to the model that was trained, see fireact/parity."""

    check: bool = True
    """Compare them before anything is played."""
    agreement: Share = 0.95
    """The least share of tokens in whose place both would write the same."""
    difference: Positive = 0.5
    """The largest difference of a token's log-probability, in nats; in float32 it stays below 0.001."""


class Evaluate(Section):
    """Which questions the student is judged by, and in which guises."""

    split: str | None = None
    """None: the one that results on a dataset are reported on."""
    n: Number = 100
    """How many questions of each dataset, the first of the split's fixed order; None for all."""
    attempts: Attempts = 1
    """How often each question is played; with several, pass@k and the majority's answer are reported too."""
    unseen: list[str] = []
    """More splits, of the datasets that are learnt from, whose questions are not trained on."""
    prompted: bool = True
    """Evaluate the student as it came, with few-shot examples."""
    finetuned: bool = True
    """Evaluate the fine-tuned student, without examples."""
    parity: Gate = Gate()
    faults: list[str] = []
    """Evaluate under these faults of the tool as well, see fireact/tool/noise.py."""


class Taping(Section):
    """The tape of answered calls, see fireact/tape."""

    mode: Mode = "replay"
    file: Path | None = None
    """None: tape.sqlite in the store."""


class Caps(Section):
    """The most that may be paid for; None: no cap."""

    usd: NotNegative | None = None
    tokens: Annotated[int, Field(ge=0)] | None = None
    """Of prompts and replies together."""
    calls: Annotated[int, Field(ge=0)] | None = None


class Budget(Section):
    """Caps on paid calls, of models behind an endpoint and of search engines. What the tape answers costs nothing."""

    run: Caps = Caps()
    """Of one start of the command."""
    sweep: Caps = Caps()
    """Of all cells of a sweep together."""
    day: Caps = Caps()
    """Of all runs with this ledger on one day (UTC)."""
    ledger: Path | None = None
    """The file that all processes book in; None: ledger.sqlite in the store."""


class Wandb(Section):
    """Weights & Biases, a mirror of what metrics.jsonl holds."""

    mode: Literal["auto", "online", "offline", "disabled"] = "auto"
    """auto: online where WANDB_API_KEY is set, offline else."""
    project: str = "fireact"
    entity: str | None = None
    group: str | None = None
    """None: the sweep's, where there is one."""
    tags: list[str] = []
    upload_mb: NotNegative = 256
    """The largest adapter or model that is sent, in megabytes; of a larger one only its place is told."""


class Inputs(Section):
    """Files of another run to go on from, in place of this configuration's own."""

    trajectories: Annotated[list[Path], BeforeValidator(lambda given: given if isinstance(given, list) else
                                                        [] if given is None else [given])] = []
    """One or more files of trajectories, for curate: ours, or in any form that fireact/formats reads."""
    curated: Path | None = None
    """A folder with curated train.jsonl and validation.jsonl, for train."""
    adapter: Path | None = None
    """A LoRA adapter or a fine-tuned model's folder, for evaluate."""
    run: Path | None = None
    """A run directory, for report."""
    player: Path | None = None
    """A fine-tuned student's adapter or folder, with which it plays training questions itself, see `Own`."""


class Export(Section):
    """In which forms the curated trajectories are written for other trainers."""

    formats: list[Literal["alpaca", "openai", "sharegpt", "conversational", "searches", "preference"]] = [
        "alpaca", "openai", "sharegpt", "conversational"]


class Publish(Section):
    """What is made of the trained student for others, by stage=publish."""

    forms: Annotated[list[Literal["adapter", "merged", "gguf"]], Field(min_length=1)] = ["adapter"]
    """adapter: in PEFT's format. merged: a whole model as safetensors, with its tokenizer. gguf: that for llama.cpp."""
    repo: str | None = None
    """Where on the hub the first of the forms is sent, org/name; further ones go to org/name-<form>. None: nowhere."""
    private: bool = True
    """Whether a repository that is made can be seen by its owners alone."""
    licence: str | None = None
    """By the hub's name for it; None: that of the base, where it is known."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """What merged weights are saved in; auto: as the base's are."""
    gguf_type: Literal["auto", "f32", "f16", "bf16", "q8_0"] = "f16"
    converter: Path | None = None
    """llama.cpp's convert_hf_to_gguf.py; None: the one on PATH, or in the folder that LLAMA_CPP names."""


STUDENT = "student"
"""The axis of the two guises of the student, as contrasts call it."""


class PlannedContrast(Section):
    """Two values of an axis of a sweep that are to be compared."""

    axis: Annotated[str, Field(min_length=1)]
    """As the sweep calls it, e.g. strategy or train.rank; `student` for its guises, prompted and finetuned."""
    first: Word
    second: Word
    """Which is said to be better or worse than the first."""
    guise: Literal["prompted", "finetuned"] | None = None
    """Whose episodes are compared; None: the fine-tuned student's, the prompted one's where there is none."""

    @model_validator(mode="after")
    def _differ(self) -> PlannedContrast:
        if self.first == self.second:
            raise ValueError(f"a contrast needs two values of {self.axis}, got {self.first} twice")
        if self.axis == STUDENT and self.guise:
            raise ValueError(f"axis={STUDENT} compares the guises, so guise={self.guise} has no meaning; leave it out")
        return self


class Report(Section):
    """What the report shows beyond the results."""

    prices: list[str] = []
    """Models at whose prices the recorded usage is counted as well, e.g. [gpt-4.1-mini]."""
    contrasts: list[PlannedContrast] = []
    """The contrasts that a sweep is made for. Empty: each axis' values against its first, and fine-tuned against
    prompted. All of them are one family to Holm's correction, so that fewer find more."""


class Paper(Section):
    """What the recipes of the paper take from paper=faithful or paper=corrected; nothing else reads it."""

    rules: Literal["faithful", "corrected"]
    table: str | None = None
    """The table or figure that the run is a part of, compared with the paper at its end."""
    trajectories: Count
    """Of one method on HotpotQA."""
    questions: Count
    """That the teacher plays to get them."""
    filters: list[FilterName]
    loss: Literal["all_output", "assistant", "actions", "final"]
    batch_size: Count
    warmup_steps: Annotated[int, Field(ge=0)] | None
    max_length: Count | None
    too_long: Literal["error", "truncate", "drop"]
    full_learning_rate: Positive
    """Of train=paper_full."""
    scoring: Literal["faithful", "strict"]
    play: Literal["react", "reflexion"]
    """How the Llama students are asked in an evaluation."""
