"""Batched decoding on transformers, in this process: rows join and leave the batch at any step.

The KV of all prompts is kept in a pool found through a trie of tokens, so a conversation's later rounds compute only
what is new, and a few-shot prompt is computed once for all.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from fireact.errors import ConfigError
from fireact.model.local import attention
from fireact.model.local.kv import Memory
from fireact.model.local.replies import reply_text
from fireact.model.local.sampling import Follow, Sampler, choose

PACK = 4096
"""About how many new prompt tokens are computed in one forward pass: bounds the memory for activations."""
WORTH = 16
"""A common prefix that is longer by fewer tokens than this is not worth a new layout."""
SPOILT = 128
"""A row that would shorten the common prefix of the active rows by more tokens than this waits for another batch."""
ATTENTIONS = {"full_attention", "sliding_attention"}
"""The kinds of layers the engine computes."""


@dataclass(eq=False, kw_only=True)
class Row:
    """One reply in the making."""

    prompt: list[int]
    max_tokens: int
    stop: tuple[str, ...]
    sampler: Sampler
    done: Callable[["Row", str], None]
    """Called once, on the engine's thread, with the row and its text when it leaves, finished or abandoned."""
    abandoned: Callable[[], bool]
    """Whether nobody waits for the reply any more."""
    reply: list[int] = field(default_factory=list)
    follow: Follow | None = None
    """The reply that is to be written, where that is known and only to be judged."""
    finish: str = ""
    """Empty while unfinished, then 'stop' or 'length'."""
    cached: int = 0
    """How many prompt tokens were not computed again."""

    @property
    def computed(self) -> int:
        """How many tokens of prompt and reply have their KV: all but the one sampled last."""
        return len(self.prompt) + len(self.reply) - 1

    @property
    def longest(self) -> int:
        """How many tokens prompt and reply may come to."""
        return len(self.prompt) + self.max_tokens


class Engine:
    """Decodes rows on one model. To be used from one thread only."""

    def __init__(self, model: Any, tokenizer: Any, *, batch_size: int, cache_tokens: int, ends: set[int]) -> None:
        """`ends` are the token ids that end a reply; `cache_tokens` is how many tokens' KV the pool keeps.

        Raises ConfigError for models with other layers than (sliding-window) attention.
        """
        _plug_in(model)
        self.model, self.tokenizer, self.batch_size, self.ends = model, tokenizer, batch_size, ends
        self.memory = Memory(model, cache_tokens)
        self.waiting: deque[Row] = deque()
        self.rows: list[Row] = []

    @property
    def busy(self) -> bool:
        """Whether a row waits or decodes."""
        return bool(self.waiting or self.rows)

    def add(self, row: Row) -> None:
        """Queue a row, whose prompt has 1 to `cache_tokens` tokens."""
        self.waiting.append(row)

    def clear(self) -> None:
        """Forget all rows and all KV, as after a failure."""
        self.memory = Memory(self.model, self.memory.trie.capacity)
        self.rows, self.waiting = [], deque()

    @torch.inference_mode()
    def step(self) -> None:
        """Let waiting rows join, then give every active row one more token."""
        for row in [row for row in self.waiting if row.abandoned()]:
            self.waiting.remove(row)
            row.done(row, "")
        while joining := self._next_rows():
            self._take(joining, self._prefill(joining))
        if self.rows:
            self._take(self.rows, self._decode())

    def _next_rows(self) -> list[Row]:
        """Take the rows from the queue that join in the next forward pass, in their order."""
        joining: list[Row] = []
        new = 0
        for row in list(self.waiting):
            if len(self.rows) + len(joining) == self.batch_size or new > PACK:
                break
            if self._admits(row, joining):
                new += len(row.prompt) - len(self.memory.trie.match(row.prompt))
                joining.append(row)
                self.waiting.remove(row)
        return joining

    def _admits(self, row: Row, joining: list[Row]) -> bool:
        """Whether `row` may join now: its KV fits, and it does not spoil the trunk of those before it."""
        before = [*self.rows, *joining]
        rows = [*before, row]
        if not before:
            return True
        split = shared([other.prompt for other in rows])
        lost = shared([other.prompt for other in before]) - split if len(before) > 1 else 0
        own = len(rows) * (max(other.longest for other in rows) - split)
        prompts = sum(len(other.prompt) for other in [*joining, row])
        return lost <= SPOILT and max(own, prompts) <= self.memory.trie.capacity

    def _prefill(self, joining: list[Row]) -> Tensor:
        """Compute what is new in the prompts of `joining` and make them active; return their next logits."""
        self.memory.trie.begin()
        entered = [self.memory.enter(row.prompt) for row in joining]
        for row, (_, known) in zip(joining, entered, strict=True):
            row.cached = known
        fresh = [range(row.cached, len(row.prompt)) for row in joining]
        ids = [row.prompt[at] for row, places in zip(joining, fresh, strict=True) for at in places]
        last = torch.tensor([len(places) for places in fresh]).cumsum(0) - 1
        logits = self._forward(ids, [at for places in fresh for at in places], self.memory.prefill(entered), last)
        self._activate(joining, [slots for slots, _ in entered])
        return logits

    def _activate(self, joining: list[Row], slots: list[Tensor]) -> None:
        rows = [*self.rows, *joining]
        split = shared([row.prompt for row in rows])
        if self.rows and self.memory.split <= split < self.memory.split + WORTH:
            split = self.memory.split
        room = max(row.longest for row in rows) - split
        if split != self.memory.split or not self.memory.fits(len(rows), room):
            room = -(-room // 64) * 64
            capacity = self.batch_size if self.batch_size * room <= self.memory.trie.capacity else len(rows)
            self.memory.lay_out([row.computed for row in self.rows], slots, split, capacity, room)
        for index, row_slots in enumerate(slots, len(self.rows)):
            self.memory.join(index, row_slots)
        self.rows = rows

    def _decode(self) -> Tensor:
        """Compute one token of each active row; return their next logits."""
        totals = [row.computed for row in self.rows]
        return self._forward([row.reply[-1] for row in self.rows], totals, self.memory.decode(totals))

    def _forward(self, ids: list[int], positions: list[int], kv: attention.Prefill | attention.Decode,
                 keep: Tensor | None = None) -> Tensor:
        """Run packed tokens; return the logits (rows, vocabulary), of the tokens `keep` where it is given."""
        device = self.memory.device
        output = self.model(input_ids=torch.tensor([ids], device=device), use_cache=False, kv=kv,
                            position_ids=torch.tensor([positions], device=device),
                            logits_to_keep=0 if keep is None else keep.to(device))
        return output.logits[0]

    def _take(self, rows: list[Row], logits: Tensor) -> None:
        """Append each row's next token; rows that are done leave."""
        for number, (row, token) in enumerate(zip(rows, choose(logits, [row.sampler for row in rows]), strict=True)):
            row.reply.append(row.follow.next(logits[number], token) if row.follow else token)
            row.finish = self._finish(row)
        for index in reversed(range(len(self.rows))):
            if self.rows[index].finish or self.rows[index].abandoned():
                self._leave(index)
        if not self.rows:
            self.memory.clear_rows()

    def _finish(self, row: Row) -> str:
        if row.reply[-1] in self.ends or (row.stop and self._stopped(row)):
            return "stop"
        return "length" if len(row.reply) >= row.max_tokens else ""

    def _stopped(self, row: Row) -> bool:
        """Whether a stop string ends in the newest token; it spans at most as many tokens as it has bytes."""
        tail = row.reply[-max(len(stop.encode()) for stop in row.stop) - 4:]
        text = self.tokenizer.decode(tail, skip_special_tokens=True)
        return any(stop in text for stop in row.stop)

    def _leave(self, index: int) -> None:
        row, last = self.rows[index], self.rows[-1]
        # With its newest token, which is the one that has no KV yet, the last row has one token more than is stored.
        self.memory.leave(index, (row.prompt + row.reply)[: row.computed], len(self.rows) - 1, last.computed)
        self.rows[index] = last
        self.rows.pop()
        row.done(row, reply_text(self.tokenizer, row.reply, self.ends, row.stop))


def shared(prompts: list[list[int]]) -> int:
    """The length of the common prefix of all prompts."""
    low, high = min(prompts), max(prompts)
    return next((at for at, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))


def _plug_in(model: Any) -> None:
    """Make the model use the engine's attention. Raises ConfigError."""
    from transformers import AttentionInterface

    layers = set(getattr(model.config.get_text_config(), "layer_types", None) or ["full_attention"])
    if not layers <= ATTENTIONS or not model._supports_attention_backend:
        raise ConfigError(f"{type(model).__name__} has layers of the kinds {sorted(layers)}, expected only attention; "
                          "serve this model with vLLM and reach it as an API model")
    AttentionInterface.register(attention.NAME, attention.attention)
    model.set_attn_implementation(attention.NAME)
