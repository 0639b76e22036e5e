"""The engine's memory: the KV of finished prompts in a pool, and that of the decoding rows in a layout made for speed.

The decoding rows hold their common prefix, the trunk, once; what each has of its own lies in one buffer where it grows
in place. When the rows change so much that another trunk fits better, everything is laid out anew.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fireact.model.local.attention import Decode, Prefill
from fireact.model.local.cache import TokenTrie


class Memory:
    """KV of `tokens` tokens in the pool, and of the active rows besides. All tensors begin (layers, 2, ...)."""

    def __init__(self, model: Any, tokens: int) -> None:
        config = model.config.get_text_config()
        heads, layers = config.num_attention_heads, config.num_hidden_layers
        kv_heads = getattr(config, "num_key_value_heads", None) or heads
        size = getattr(config, "head_dim", None) or config.hidden_size // heads
        self.device: torch.device = model.device
        self.trie = TokenTrie(tokens)
        self.pool = torch.zeros(layers, 2, tokens, kv_heads, size, dtype=model.dtype, device=model.device)
        self.clear_rows()

    def clear_rows(self) -> None:
        """Forget the active rows, not the pool."""
        layers, _, _, heads, size = self.pool.shape
        self.trunk = self.pool.new_zeros(layers, 2, heads, 0, size)
        self.own = self.pool.new_zeros(layers, 2, 0, heads, 0, size)

    @property
    def split(self) -> int:
        """The trunk's length in tokens, where the rows' own KV begins."""
        return self.trunk.shape[3]

    def enter(self, prompt: Sequence[int]) -> tuple[Tensor, int]:
        """Find or give a slot to each token of a prompt; also return how many hold their KV, never the last one."""
        slots, known = self.trie.insert(prompt)
        return torch.tensor(slots, device=self.device), min(known, len(prompt) - 1)

    def prefill(self, entered: Sequence[tuple[Tensor, int]]) -> Prefill:
        """The KV for a forward pass over what is new in these prompts."""
        return Prefill(self.pool, [slots for slots, _ in entered], [known for _, known in entered])

    def decode(self, totals: Sequence[int]) -> Decode:
        """The KV for a forward pass of one token a row; `totals` are the tokens each row has computed."""
        lengths = [total - self.split for total in totals]
        return Decode(self.trunk, self.own, torch.tensor(lengths, device=self.device), max(lengths) + 1)

    def fits(self, rows: int, room: int) -> bool:
        """Whether the rows' own buffer holds `rows` rows of `room` tokens."""
        return rows <= self.own.shape[2] and room <= self.own.shape[4]

    def lay_out(self, totals: Sequence[int], joining: Sequence[Tensor], split: int, rows: int, room: int) -> None:
        """Copy the active rows, of `totals` tokens, to a new trunk and a new buffer for `rows` rows of `room` tokens.

        Where no row is active the trunk is read from the first prompt that joins.
        """
        layers, _, _, heads, size = self.pool.shape
        own = self.pool.new_zeros(layers, 2, rows, heads, room, size)
        for row, total in enumerate(totals):
            own[:, :, row, :, : total - split] = self._read(row, split, total)
        self.trunk = self._read(0, 0, split) if totals else self._pooled(joining[0][:split])
        self.own = own

    def join(self, row: int, slots: Tensor) -> None:
        """Copy a prompt's KV behind the trunk from the pool into an active row."""
        self.own[:, :, row, :, : len(slots) - self.split] = self._pooled(slots[self.split:])

    def leave(self, row: int, ids: Sequence[int], last: int, last_total: int) -> None:
        """Keep a row's KV in the pool, and put the last active row, of `last_total` tokens, into its place."""
        if len(ids) <= self.trie.capacity:
            self.trie.begin()
            slots, known = self.trie.insert(ids)
            if known < len(ids):
                index = torch.tensor(slots[known:], device=self.device)
                self.pool.index_copy_(2, index, self._read(row, known, len(ids)).transpose(2, 3))
        if row != last:
            length = last_total - self.split
            self.own[:, :, row, :, :length] = self.own[:, :, last, :, :length]

    def _read(self, row: int, start: int, stop: int) -> Tensor:
        """An active row's KV of tokens `start` to `stop`: (layers, 2, heads, tokens, size)."""
        trunk = self.trunk[:, :, :, start:stop]
        own = self.own[:, :, row, :, max(start - self.split, 0): max(stop - self.split, 0)]
        return torch.cat([trunk, own], 3)

    def _pooled(self, slots: Tensor) -> Tensor:
        return self.pool.index_select(2, slots).transpose(2, 3)
