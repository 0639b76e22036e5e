"""Drive one strategy through one question, to one trajectory.

The driver owns what a strategy must not know: the model, the tools, the limits, the recording, and what becomes of a
failure. Every question ends in a trajectory with a `StopReason`: a bad episode is data, not a crash and not a gap.
Only what no episode could survive (a bad key, a model that does not exist) is raised, as ConfigError.
"""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fireact.errors import ContextError, ProviderError, ToolError, ToolUnavailable
from fireact.protocols import Dataset, Model, Strategy, Tool
from fireact.schema import Limits
from fireact.strategy.grammar import join_prime
from fireact.types import Act, Ask, Episode, Observation, Play, Question, Refuse, Request, Step, StopReason, Trajectory


class _Ended(Exception):
    """A limit was reached or a call failed for good."""

    def __init__(self, stop: StopReason, text: str):
        super().__init__(text)
        self.stop = stop


@dataclass(kw_only=True)
class Player:
    """What all episodes of one generation have in common."""

    method: str
    task: str
    """The name of the dataset."""
    strategy: Strategy
    few_shot: bool
    model: Model
    tool: Tool
    dataset: Dataset
    limits: Limits = field(default_factory=Limits)
    seed: int = 0
    provenance: dict[str, Any] = field(default_factory=dict)

    async def play(self, question: Question, before: Sequence[Step] = ()) -> Trajectory:
        """Play one question to its end. Raises ConfigError.

        `before` is what an earlier try got to until its model or tool was out of reach: the strategy is led through it
        again, and nothing of it is asked or paid for twice.
        """
        started = time.monotonic()
        run = _Run(self, Episode(question.id, self.seed, question.plan), started, deque(before))
        answer, error = None, None
        try:
            answer = await run.drive(self.strategy.play(question.text, few_shot=self.few_shot))
            stop = StopReason.ROUNDS if answer is None else StopReason.FINISHED
        except _Ended as ended:
            stop, error = ended.stop, str(ended)
        return Trajectory(question.id, question, self.method, tuple(run.steps), answer, stop,
                          self.dataset.score(question, answer), error, time.monotonic() - started, self.provenance,
                          dataset=self.task)


@dataclass
class _Run:
    """One episode under way."""

    player: Player
    episode: Episode
    started: float
    before: deque[Step]
    """What was done in an earlier try, and not yet again in this one."""
    steps: list[Step] = field(default_factory=list)
    errors: int = 0

    async def drive(self, play: Play) -> str | None:
        reply: Any = None
        try:
            while True:
                request = play.send(reply)
                requests = request if isinstance(request, list) else [request]
                done = await self._within_time(asyncio.gather(*map(self._do, requests)))
                self._record(done)
                reply = [step.text for step in done] if isinstance(request, list) else done[0].text
        except StopIteration as finished:
            return finished.value
        finally:
            play.close()

    def _record(self, done: list[Step]) -> None:
        self.steps += done
        for step in done:
            if step.kind != "ask":
                self.errors = self.errors + 1 if step.kind == "refuse" else 0
        if self.errors >= self.player.limits.errors:
            raise _Ended(StopReason.FORMAT, f"{self.errors} replies in a row were refused; the last: {done[-1].text}")

    async def _within_time(self, work: "asyncio.Future[list[Step]]") -> list[Step]:
        limit = self.player.limits.seconds
        try:
            return await asyncio.wait_for(work, limit and limit - (time.monotonic() - self.started))
        except asyncio.TimeoutError:
            raise _Ended(StopReason.SECONDS, f"the episode took more than {limit:g} seconds") from None

    async def _do(self, request: Request) -> Step:
        if self.before:
            return self.before.popleft()
        if isinstance(request, Ask):
            return await self._ask(request)
        if isinstance(request, Act):
            return await self._act(request)
        assert isinstance(request, Refuse)
        return Step("refuse", request.text)

    async def _ask(self, ask: Ask) -> Step:
        used = sum(step.completion.completion_tokens for step in self.steps if step.completion)
        if self.player.limits.tokens is not None and used >= self.player.limits.tokens:
            raise _Ended(StopReason.TOKENS, f"{used} tokens were written, limits.tokens={self.player.limits.tokens}")
        started = time.monotonic()
        try:
            completion = await self.player.model.complete(replace(ask, episode=self.episode))
        except ContextError as error:
            raise _Ended(StopReason.CONTEXT, str(error)) from None
        except ProviderError as error:
            raise _Ended(StopReason.MODEL, str(error)) from None
        except ToolUnavailable as error:
            # The scripted expert searches by itself where its strategy has no tool.
            raise _Ended(StopReason.TOOL, str(error)) from None
        return Step("ask", join_prime(ask.prime, completion.text), form=ask.form, completion=completion,
                    seconds=time.monotonic() - started)

    async def _act(self, act: Act) -> Step:
        tool = self.player.tool
        if act.tool not in tool.actions:
            names = ", ".join(f"{name}[...]" for name in (*tool.actions, "finish"))
            return Step("refuse", f"there is no tool {act.tool!r}; use one of {names}")
        started = time.monotonic()
        try:
            seen = await tool(replace(act, episode=self.episode, past=tuple(self.steps)))
        except ToolError as error:
            seen = Observation(str(error), origin="refused")
        except ToolUnavailable as error:
            raise _Ended(StopReason.TOOL, str(error)) from None
        return Step("act", seen.text, tool=act.tool, argument=act.argument, ids=seen.ids, origin=seen.origin,
                    seconds=time.monotonic() - started)
