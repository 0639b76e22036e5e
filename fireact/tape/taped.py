"""A model and a tool whose answers are on the tape, in the place of those that they wrap."""

import json
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, TypeVar

from fireact import protocols
from fireact.errors import ContextError, FilterError, ToolError
from fireact.jsonl import decode, encode
from fireact.meter import Meter
from fireact.protocols import Model, Tool
from fireact.requests import Act, Ask
from fireact.tape import Tape
from fireact.tape.request import Party, act_request, ask_request
from fireact.toolspec import ToolSpec
from fireact.types import Completion, Observation

T = TypeVar("T")
_REFUSALS = (ContextError, FilterError)
"""Answers too: the same request would be refused again."""


@dataclass
class TapedModel:
    """A model."""

    model: Model
    party: Party
    tape: Tape
    meter: Meter

    @property
    def name(self) -> str:
        """The model's."""
        return self.model.name

    async def complete(self, ask: Ask) -> Completion:
        """See `protocols.Model`; raises what `Tape.once` does too."""
        request = ask_request(self.party, ask, seeded=getattr(self.model, "seeded", True))
        line, kept = await self.tape.once(request, lambda: _line(self.model.complete(ask)))
        self.meter.replayed += kept
        self.meter.asked += not kept
        completion = _read(Completion, line)
        if kept:
            self.meter.save(completion.cost, completion.prompt_tokens + completion.completion_tokens)
        else:
            self.meter.prompt_tokens += completion.prompt_tokens
            self.meter.completion_tokens += completion.completion_tokens
        return completion

    async def close(self) -> None:
        """Nothing is held here; the model is closed by who built it."""


@dataclass
class TapedTool:
    """A tool."""

    tool: Tool
    party: Party
    tape: Tape
    meter: Meter

    @property
    def actions(self) -> tuple[str, ...]:
        """The tool's."""
        return self.tool.actions

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        """The tool's."""
        return protocols.specs(self.tool)

    async def __call__(self, act: Act) -> Observation:
        """See `protocols.Tool`. What the tool refuses to do is an observation here: it would refuse it again."""
        request = act_request(self.party, act, stateless=act.tool in getattr(self.tool, "stateless", ()))
        line, kept = await self.tape.once(request, lambda: _line(self._call(act)))
        self.meter.reused += kept
        self.meter.used += not kept
        return _read(Observation, line)

    async def _call(self, act: Act) -> Observation:
        try:
            return await self.tool(act)
        except ToolError as refusal:
            return Observation(str(refusal), origin="refused")


async def _line(work: Awaitable[Any]) -> str:
    try:
        return encode(await work)
    except _REFUSALS as refusal:
        return json.dumps({"refusal": type(refusal).__name__, "text": str(refusal)})


def _read(cls: type[T], line: str) -> T:
    if line.startswith('{"refusal"'):
        told = json.loads(line)
        raise {kind.__name__: kind for kind in _REFUSALS}[told["refusal"]](told["text"])
    return decode(cls, line, "the tape")


