"""One trajectory as a row of the training set, with all that the audit asks of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Literal

from fireact.errors import DataError
from fireact.examples import Masking, conversation, example_of, name_of, turns_of_model
from fireact.render import render_prompt, rewrites
from fireact.tokenize.fit import shorten
from fireact.toolspec import ToolSpec
from fireact.types import Example, Message, Trajectory

TooLong = Literal["error", "shorten", "drop", "truncate"]
"""What becomes of an example that is longer than may be. `error`: it stops the run. `shorten`: its middle observations
lose their ends, then the others. `drop`: it is left out, by name. `truncate`: its end is cut off, as FireAct's release
did; its answer goes first."""


@dataclass(frozen=True)
class Row:
    """A trajectory's example, and what is to be known about it."""

    example: Example
    left_out: str = ""
    """Why it is not trained on; empty where it is."""
    shortened: bool = False
    """Whether observations lost their ends."""
    truncated: bool = False
    """Whether it was cut at its end."""
    lost_final: bool = False
    """Whether that cut took a part of what was to be learnt of the last action."""
    broken_prompt: bool = False
    """Whether the ids of some prompt, as the student sees it when it plays, are not the beginning of its own."""
    rewritten: bool = False
    """Whether its template writes past turns anew once others follow."""
    doubled_bos: bool = False
    """Whether it begins with two tokens of beginning."""
    open_ends: int = 0
    """How many turns are trained on that nothing ends, though `train.end_of_turn` wants that learnt."""
    unpaired: bool = False
    """Whether it is left out because the other side of its pair is."""


@dataclass(frozen=True)
class RowBuilder:
    """Builds rows with one tokenizer."""

    tokenizer: Any
    masking: Masking
    window: int
    too_long: TooLong

    def row(self, trajectory: Trajectory, name: str = "") -> Row:
        """Tokenise a trajectory, under a name if not its own.

        Raises DataError for one that is too long where that is an error, ConfigError.
        """
        messages, learnt = conversation(trajectory)
        name = name or name_of(trajectory)

        def build(talk: Sequence[Message]) -> Example:
            return example_of(self.tokenizer, talk, learnt, name, self.masking, trajectory.tools)

        whole = build(messages)
        row = Row(whole, broken_prompt=self._broken(whole, messages, trajectory.tools),
                  rewritten=rewrites(self.tokenizer, messages, trajectory.tools), doubled_bos=self._doubled(whole),
                  open_ends=self._open_ends(whole, learnt))
        if len(whole.ids) > self.window:
            row = self._fitted(row, shorten(self.tokenizer, messages, self.window, build)
                               if self.too_long == "shorten" else None)
        if not row.left_out and not any(row.example.mask[1:]):
            row = replace(row, left_out="nothing in it is trained on")
        return row

    def _fitted(self, row: Row, shortened: Example | None) -> Row:
        example, size = row.example, len(row.example.ids)
        if shortened:
            return replace(row, example=shortened, shortened=True)
        if self.too_long == "error":
            raise DataError(
                f"the example {example.id!r} has {size} tokens, but at most {self.window} fit (train.max_length, or "
                "the model's window); raise train.max_length if the model allows, or say by train.too_long=shorten or "
                "drop what becomes of such")
        if self.too_long != "truncate":
            return replace(row, left_out=f"{size} tokens, more than {self.window}")
        kept = replace(example, ids=example.ids[: self.window], mask=example.mask[: self.window],
                       roles=example.roles[: self.window])
        lost = kept.roles.count("f") < example.roles.count("f")
        return replace(row, example=kept, truncated=True, lost_final=lost)

    def _broken(self, whole: Example, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> bool:
        """Whether the prompt of any turn differs from the beginning of the example."""
        prompts = (tuple(render_prompt(self.tokenizer, messages[:turn], tools=tools))
                   for turn in turns_of_model(messages))
        return any(whole.ids[: len(prompt)] != prompt for prompt in prompts)

    def _doubled(self, example: Example) -> bool:
        begin = self.tokenizer.bos_token_id
        return begin is not None and example.ids[:2] == (begin, begin)

    def _open_ends(self, example: Example, learnt: Sequence[int]) -> int:
        """Of the turns that are trained on, those behind which no token ends a turn."""
        if not self.masking.end_of_turn or not learnt:
            return 0
        if self.masking.loss == "final":
            words = max(example.roles.rfind("t"), example.roles.rfind("f"))
            return int("e" not in example.roles[words + 1:])
        return len(learnt) - [role for role, _ in groupby(example.roles)].count("e")
