"""What runs on a local model's thread: requests become rows of the engine, and finished rows replies."""

import queue
import random
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from fireact.errors import ConfigError, ContextError, FireActError, ProviderError
from fireact.model.local.engine import Engine, Row
from fireact.model.local.jobs import Job, Judge, Judged, settle
from fireact.model.local.replies import need_room, seed
from fireact.model.local.sampling import Follow, Sampler
from fireact.render import render_prompt
from fireact.requests import Ask
from fireact.strategy.tagged import read_reply
from fireact.types import Completion


@dataclass(kw_only=True)
class Worker:
    """An engine and how replies are to be made; the fields are those of `Local`."""

    engine: Engine
    name: str
    window: int
    max_tokens: int
    temperature: float
    top_p: float
    asked: dict[Row, tuple["Future[Any]", float]] = field(default_factory=dict)
    """Where the reply of each row goes, and when it was asked for."""

    def serve(self, jobs: "queue.SimpleQueue[Job | None]") -> None:
        """Work until a None comes and all before it is done."""
        closing = False
        while not closing or self.engine.busy:
            while not closing and (not self.engine.busy or not jobs.empty()):
                job = jobs.get()
                closing = job is None
                if job is not None:
                    self._add(*job)
            if self.engine.busy:
                self._step()

    def _add(self, ask: Ask | Judge, future: "Future[Any]", started: float) -> None:
        try:
            row = self._judged(ask, future) if isinstance(ask, Judge) else self._row(ask, future)
        except FireActError as error:
            settle(future, error)
            return
        self.asked[row] = future, started
        self.engine.add(row)

    def _row(self, ask: Ask, future: "Future[Any]") -> Row:
        prompt = render_prompt(self.engine.tokenizer, ask.messages, ask.prime, ask.tools)
        reply = ask.max_tokens or max(self.max_tokens, ask.room)
        self._need_room(prompt, reply)
        temperature = self.temperature if ask.temperature is None else ask.temperature
        sampler = Sampler(temperature, self.top_p, random.Random(seed(ask, prompt)))
        return Row(prompt=prompt, max_tokens=reply, stop=ask.stop, sampler=sampler,
                   done=partial(self._report, called=bool(ask.tools)), abandoned=future.cancelled)

    def _judged(self, ask: Judge, future: "Future[Any]") -> Row:
        self._need_room(list(ask.prompt), len(ask.reply))
        return Row(prompt=list(ask.prompt), max_tokens=len(ask.reply), stop=(), sampler=Sampler(0, 1, random.Random(0)),
                   done=self._report, abandoned=future.cancelled, follow=Follow(ask.reply))

    def _need_room(self, prompt: list[int], reply: int) -> None:
        capacity = self.engine.memory.trie.capacity
        need_room(self.name, len(prompt), reply, self.window)
        if len(prompt) > capacity:
            raise ContextError(f"a prompt of {len(prompt)} tokens exceeds model.cache_tokens={capacity}; "
                               f"raise it, at most to the window of {self.window}")

    def _step(self) -> None:
        """One step of the engine; where it fails, for want of memory for example, all that was under way fails too."""
        try:
            self.engine.step()
        except (ConfigError, RuntimeError) as failure:
            error = failure if isinstance(failure, ConfigError) else ProviderError(
                f"the model {self.name} failed: {str(failure).partition(chr(10))[0]}; where it ran out of memory, "
                "lower model.batch_size or model.cache_tokens")
            self.engine.clear()
            for future, _ in self.asked.values():
                settle(future, error)
            self.asked.clear()

    def _report(self, row: Row, text: str, called: bool = False) -> None:
        future, started = self.asked.pop(row)
        if row.follow:
            settle(future, Judged(row.follow.greedy, row.follow.logprobs))
            return
        text, calls = read_reply(text) if called else (text, ())
        settle(future, Completion(text, "length" if row.finish == "length" else "stop", prompt_tokens=len(row.prompt),
                                  completion_tokens=len(row.reply), cached_tokens=row.cached,
                                  seconds=time.monotonic() - started, calls=calls))
