"""Drive one strategy through one question, to one trajectory.

The driver owns what a strategy must not know: the model, the tools, the limits, the recording, and what becomes of a
failure. Every question ends in a trajectory with a `StopReason`: a bad episode is data, not a crash and not a gap.
Only what no episode could survive is raised: a bad key, a model that does not exist (ConfigError), a budget that
is used up (BudgetExceeded), a tape that cannot be written (DataError).
"""

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import dataclass, field, replace
from typing import Any

from fireact import protocols
from fireact.errors import ContextError, FilterError, ProviderError, ToolError, ToolUnavailable
from fireact.protocols import Dataset, Model, Strategy, Tool
from fireact.requests import Act, Ask, Choose, Learn, Play, Recall, Refuse, Request, Tell
from fireact.sections import Limits
from fireact.skills import Library
from fireact.strategy.grammar import join_prime
from fireact.toolspec import ToolSpec, find
from fireact.types import Episode, Observation, Question, Step, StopReason, Trajectory

_ATTEMPT, _SAMPLE = 1_000_003, 15_485_863
"""How far apart the seeds of attempts are, and those of samples of one reply."""
NO_TOOL = "there is no tool"
"""How the refusal of a call to an unknown tool begins."""


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
    library: Library = field(default_factory=Library)
    """Of the strategies that have skills."""
    provenance: dict[str, Any] = field(default_factory=dict)

    under_way: "dict[tuple[str, int], Playing]" = field(init=False, default_factory=dict)
    """The episodes that are being played, by question and attempt."""

    async def play(self, question: Question, attempt: int = 0) -> Trajectory:
        """Play one question to its end. Raises ConfigError, BudgetExceeded, DataError."""
        run = Playing(self, question, Episode(question.id, sample_seed(self.seed, attempt), question.plan))
        self.under_way[question.id, attempt] = run
        answer, error = None, None
        try:
            answer = await run.drive(self.strategy.play(question.text, few_shot=self.few_shot,
                                                        tools=protocols.specs(self.tool)))
            stop = StopReason.ROUNDS if answer is None else StopReason.FINISHED
        except _Ended as ended:
            stop, error = ended.stop, str(ended)
        finally:
            del self.under_way[question.id, attempt]
        return Trajectory(question.id, question, self.method, tuple(run.steps), answer, stop,
                          self.dataset.score(question, answer), error, time.monotonic() - run.started, self.provenance,
                          dataset=self.task, attempt=attempt, tools=run.offered)


def sample_seed(seed: int, number: int, step: int = _ATTEMPT) -> int:
    """The seed of an attempt, or of a sample: the given one for the first, far from any other for those after it."""
    return (seed + step * number) % 2**31


@dataclass
class Playing:
    """One episode under way."""

    player: Player
    question: Question
    episode: Episode
    started: float = field(default_factory=time.monotonic)
    steps: list[Step] = field(default_factory=list)
    errors: int = 0
    offered: tuple[ToolSpec, ...] = ()
    """The functions that the model was offered."""
    waits_for: str = ""
    """What it waits for: the model, or a tool with its argument."""
    since: float = field(default_factory=time.monotonic)

    def __str__(self) -> str:
        """Where it stands, in words."""
        now, asked = time.monotonic(), sum(step.kind == "ask" for step in self.steps)
        return (f"{asked} replies, waiting for {self.waits_for or 'its turn'} for {now - self.since:.1f} s, "
                f"begun {now - self.started:.1f} s ago")

    async def drive(self, play: Play) -> str | None:
        reply: Any = None
        try:
            while True:
                request = play.send(reply)
                requests = request if isinstance(request, list) else [request]
                done = await self._within_time(self._do_all(requests))
                self._record(done)
                reply = [step.reply for step in done] if isinstance(request, list) else done[0].reply
        except StopIteration as finished:
            return finished.value
        finally:
            play.close()

    def _record(self, done: list[Step]) -> None:
        self.steps += done
        for step in done:
            if step.kind in ("act", "refuse"):
                self.errors = self.errors + 1 if step.kind == "refuse" else 0
        if self.errors >= self.player.limits.errors:
            raise _Ended(StopReason.FORMAT, f"{self.errors} replies in a row were refused; the last: {done[-1].text}")

    async def _do_all(self, requests: list[Request]) -> list[Step]:
        self._need_calls(sum(isinstance(request, Ask) for request in requests))
        acts = [request for request in requests if isinstance(request, Act)]
        placed = [replace(request, place=acts.index(request)) if isinstance(request, Act) else request
                  for request in requests]
        return list(await asyncio.gather(*map(self._do, placed)))

    def _need_calls(self, wanted: int) -> None:
        limit, used = self.player.limits.calls, sum(step.kind == "ask" for step in self.steps)
        if limit is not None and wanted and used + wanted > limit:
            raise _Ended(StopReason.CALLS, f"{used} replies were given, and {wanted} more are wanted; "
                                           f"limits.calls={limit}")

    async def _within_time(self, work: Awaitable[list[Step]]) -> list[Step]:
        limit = self.player.limits.seconds
        if limit is None:
            return await work
        try:
            return await asyncio.wait_for(work, limit - (time.monotonic() - self.started))
        except asyncio.TimeoutError:
            raise _Ended(StopReason.SECONDS, f"the episode took more than {limit:g} seconds") from None

    async def _do(self, request: Request) -> Step:
        if isinstance(request, Ask):
            return await self._ask(request)
        if isinstance(request, Act):
            return await self._act(request)
        if isinstance(request, Choose):
            return Step("choose", request.node, node=request.node)
        if isinstance(request, Recall):
            return Step("recall", self.player.library.recall(request.question), argument=request.question)
        if isinstance(request, Learn):
            return Step("learn", self.player.library.learn(request.skill, self.question), argument=request.skill)
        assert isinstance(request, (Refuse, Tell))
        return Step("refuse" if isinstance(request, Refuse) else "tell", request.text, node=request.node)

    async def _ask(self, ask: Ask) -> Step:
        used = sum(step.completion.completion_tokens for step in self.steps if step.completion)
        if self.player.limits.tokens is not None and used >= self.player.limits.tokens:
            raise _Ended(StopReason.TOKENS, f"{used} tokens were written, limits.tokens={self.player.limits.tokens}")
        started = self._begin("the model")
        self.offered = self.offered or ask.tools
        seed = sample_seed(self.episode.seed, ask.sample, _SAMPLE)
        try:
            completion = await self.player.model.complete(replace(ask, episode=replace(self.episode, seed=seed)))
        except ContextError as error:
            raise _Ended(StopReason.CONTEXT, str(error)) from None
        except FilterError as error:
            raise _Ended(StopReason.FILTER, str(error)) from None
        except ProviderError as error:
            raise _Ended(StopReason.MODEL, str(error)) from None
        except ToolUnavailable as error:
            # The scripted expert searches by itself where its strategy has no tool.
            raise _Ended(StopReason.TOOL, str(error)) from None
        return Step("ask", join_prime(ask.prime, completion.text), form=ask.form, completion=completion,
                    seconds=time.monotonic() - started, node=ask.node)

    def _begin(self, what: str) -> float:
        self.waits_for, self.since = what, time.monotonic()
        return self.since

    async def _act(self, act: Act) -> Step:
        tool = self.player.tool
        if act.tool not in tool.actions:
            names = ", ".join(f"{name}[...]" for name in (*tool.actions, "finish"))
            return Step("refuse", f"{NO_TOOL} {act.tool!r}; use one of {names}", name=act.name, node=act.node)
        started = self._begin(f"{act.tool}[{act.argument[:60]}]")
        spec = find(protocols.specs(tool), act.tool)
        try:
            if spec is not None and spec.parameters:
                spec.arguments(act.argument)
            seen = await tool(replace(act, episode=self.episode, past=self._past(act)))
        except ToolError as error:
            seen = Observation(str(error), origin="refused")
        except ToolUnavailable as error:
            raise _Ended(StopReason.TOOL, str(error)) from None
        return Step("act", seen.text, tool=act.tool, argument=act.argument, ids=seen.ids, origin=seen.origin,
                    seconds=time.monotonic() - started, name=act.name, node=act.node)

    def _past(self, act: Act) -> tuple[Step, ...]:
        """What was done before a call; in a search only what is on its own way."""
        return tuple(step for step in self.steps if on_way(step.node, act.node))


def on_way(node: str, to: str) -> bool:
    """Whether a node of a search tree is on the way from the root to another, or is that."""
    return not node or f"{to}.".startswith(f"{node}.")
