"""What runs on a local model's thread: it loads the weights, then turns requests into rows of the engine."""

import hashlib
import queue
import random
import time
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import TYPE_CHECKING

import torch

from fireact.errors import ConfigError, ContextError, FireActError, ProviderError
from fireact.model.local import weights
from fireact.model.local.engine import Engine, Row
from fireact.model.local.sampling import Sampler
from fireact.render import end_of_turn, render_prompt
from fireact.types import Ask, Completion

if TYPE_CHECKING:
    from fireact.model.local import Local

Job = tuple[Ask, "Future[Completion]", float]
"""A request, where its reply goes, and when it came (seconds of time.monotonic)."""


class Worker:
    """Weights, tokenizer and engine. Raises ConfigError, ProviderError where they cannot be loaded."""

    def __init__(self, spec: "Local") -> None:
        if spec.threads:
            torch.set_num_threads(spec.threads)
        self.spec = spec
        folder = weights.resolve(spec.source, spec.package, spec.home)
        model, self.tokenizer = weights.load(folder, spec.dtype, spec.device, spec.adapter)
        self.window: int = spec.window or model.config.get_text_config().max_position_embeddings
        named = model.generation_config.eos_token_id
        ends = {self.tokenizer.eos_token_id, end_of_turn(self.tokenizer)}
        ends |= set(named if isinstance(named, list) else [named])
        self.engine = Engine(model, self.tokenizer, batch_size=spec.batch_size, cache_tokens=spec.cache_tokens,
                             ends=ends - {None})
        self.asked: dict[Row, tuple[Future[Completion], float]] = {}

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

    def _add(self, ask: Ask, future: "Future[Completion]", started: float) -> None:
        try:
            row = self._row(ask, future)
        except FireActError as error:
            settle(future, error)
            return
        self.asked[row] = future, started
        self.engine.add(row)

    def _row(self, ask: Ask, future: "Future[Completion]") -> Row:
        prompt = render_prompt(self.tokenizer, ask.messages, ask.prime)
        reply = ask.max_tokens or self.spec.max_tokens
        if len(prompt) + reply > self.window:
            raise ContextError(f"a prompt of {len(prompt)} tokens and a reply of up to {reply} exceed the window of "
                               f"{self.spec.name}, {self.window} tokens; shorten the prompt, or lower "
                               "model.max_tokens")
        if len(prompt) > self.spec.cache_tokens:
            raise ContextError(f"a prompt of {len(prompt)} tokens exceeds model.cache_tokens={self.spec.cache_tokens}; "
                               f"raise it, at most to the window of {self.window}")
        return Row(prompt=prompt, max_tokens=reply, stop=ask.stop, sampler=self._sampler(ask, prompt),
                   done=self._report, abandoned=future.cancelled)

    def _sampler(self, ask: Ask, prompt: list[int]) -> Sampler:
        label = f"{ask.episode.seed} {ask.episode.question_id} {prompt}" if ask.episode else str(prompt)
        seed = int.from_bytes(hashlib.blake2b(label.encode(), digest_size=8).digest(), "big")
        return Sampler(self.spec.temperature, self.spec.top_p, random.Random(seed))

    def _step(self) -> None:
        """One step of the engine; where it fails, for want of memory for example, all that was under way fails too."""
        try:
            self.engine.step()
        except (ConfigError, RuntimeError) as failure:
            error = failure if isinstance(failure, ConfigError) else ProviderError(
                f"the model {self.spec.name} failed: {str(failure).partition(chr(10))[0]}; where it ran out of memory, "
                "lower model.batch_size or model.cache_tokens")
            for row in self.engine.clear():
                settle(self.asked.pop(row)[0], error)

    def _report(self, row: Row, text: str) -> None:
        future, started = self.asked.pop(row)
        settle(future, Completion(text, "length" if row.finish == "length" else "stop", prompt_tokens=len(row.prompt),
                                  completion_tokens=len(row.reply), cached_tokens=row.cached,
                                  seconds=time.monotonic() - started))


def settle(future: "Future[Completion]", outcome: Completion | Exception) -> None:
    """Deliver a reply or a failure; whoever asked may have gone meanwhile."""
    with suppress(InvalidStateError):
        if isinstance(outcome, Completion):
            future.set_result(outcome)
        else:
            future.set_exception(outcome)
