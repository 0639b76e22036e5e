"""A wrapper that puts faults in the place of any tool's results, to see how an agent takes them (paper, Table 9).

    python main.py tool=noise tool.fault=random
    python main.py tool=noise tool@tool.tool=serpapi tool.fault=none tool.probability=0.3

The paper's two are `none` and `random`, with probability 0.5 a search. Which calls are hit, and what is drawn for
them, depends on the seed, the question and the round alone: every model meets the same faults, and all faults hit the
same calls.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Annotated, Literal

from fireact.errors import ConfigError
from fireact.options import CONTENT, RUNTIME, Share
from fireact.protocols import Tool, specs
from fireact.recordings import Recording, read, same
from fireact.requests import Act
from fireact.toolspec import ToolSpec
from fireact.types import Observation

Fault = Literal["none", "random", "empty", "truncated", "distractor", "stale", "timeout", "rate_limited"]

TEXTS = {
    "none": "None",
    "empty": "",
    "timeout": "the search did not answer within 30 seconds; try again",
    "rate_limited": "the search failed with status 429: too many requests; try again later",
}
"""What is shown in place of a result. `None` is the paper's; the last two are in the words of a real tool's failure,
and nothing is waited for."""


@dataclass(kw_only=True)
class Noise:
    """A tool some of whose results are faulty; their origin names the fault."""

    tool: Tool
    """The tool that is wrapped. What it raises passes."""
    fault: Fault = "none"
    """What a hit call shows: `none`, `empty`, `timeout`, `rate_limited`: see `TEXTS`; the tool is not called.
    `random`: the result of another search, drawn from `recordings`, or else one call of the tool with another question.
    `distractor`: such a result before the real one, so without `recordings` two calls of the tool.
    `truncated`: the first half of the real one. `stale`: what the call before it in this episode showed; a first call
    has none before it and is answered as ever."""
    probability: Share = 0.5
    """Of a call to be hit (paper: 0.5)."""
    seed: int = 0
    recordings: Annotated[Path | None, CONTENT] = None
    """Where `random` and `distractor` draw from: a jsonl of {query, observation}, or a trajectories.jsonl. None: what
    the tool itself answers to one of `questions`, which is one call of it more."""
    questions: Annotated[tuple[str, ...], RUNTIME] = ()
    """The texts of the split's questions. The episode's own is among them, and is drawn as rarely as any other."""

    @property
    def actions(self) -> tuple[str, ...]:
        """What the model calls the tool."""
        return self.tool.actions

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        """The tool's."""
        return specs(self.tool)

    async def __call__(self, act: Act) -> Observation:
        """Call the tool, or a fault. Raises what the tool does; ConfigError where there is nothing to draw from."""
        before = [step for step in act.past if step.kind == "act"]
        question = act.episode.question_id if act.episode else ""
        draw = Random(f"{self.seed} {len(before) + act.place} {question}")
        if draw.random() >= self.probability or (self.fault == "stale" and not before):
            return await self.tool(act)
        if self.fault in TEXTS:
            return Observation(TEXTS[self.fault], origin=self.fault)
        if self.fault == "stale":
            return Observation(before[-1].text, before[-1].ids, origin="stale")
        if self.fault == "random":
            return Observation((await self._other(act, draw)).text, origin="random")
        real = await self.tool(act)
        if self.fault == "truncated":
            return replace(real, text=real.text[: len(real.text) // 2], origin="truncated")
        other = await self._other(act, draw)
        return replace(real, text=f"{other.text} {real.text}", origin="distractor")

    async def _other(self, act: Act, draw: Random) -> Observation:
        """The result of another search."""
        if self.recordings is not None:
            at = draw.randrange(len(self._recorded))
            if self._recorded[at].asked == same(act.argument):
                at -= 1
            return Observation(self._recorded[at].observation)
        if not self.questions:
            raise ConfigError(f"the fault {self.fault!r} has nothing to draw from; name recorded searches with "
                              "tool.recordings=path/to/searches.jsonl")
        return await self.tool(replace(act, tool=self.actions[0], argument=draw.choice(self.questions), past=()))

    @cached_property
    def _recorded(self) -> list[Recording]:
        """One a query, so that the one before another is another search."""
        assert self.recordings is not None
        return list({recording.asked: recording for recording in read(self.recordings)}.values())
