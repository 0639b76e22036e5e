"""Which prompt tokens have their keys and values (KV) at hand: a trie of tokens over numbered slots.

Every slot holds the KV of one token after one prefix, so conversations share what they have in common, be it a
few-shot prompt or all rounds but the last. The least recently used slots are given up first.
"""

from collections.abc import Sequence


class TokenTrie:
    """Maps token sequences to slots. A child is never used without its parents, so it is always older or as old."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._clock = 0
        self._slots: dict[tuple[int, int], int] = {}
        self._keys: list[tuple[int, int] | None] = [None] * capacity
        self._used = [0] * capacity
        self._free = list(range(capacity - 1, -1, -1))

    def begin(self) -> None:
        """Start a round: what is matched or inserted from now on is not given up before the next one."""
        self._clock += 1

    def match(self, ids: Sequence[int]) -> list[int]:
        """Return the slots of the longest known prefix of `ids`."""
        slots: list[int] = []
        parent = -1
        for token in ids:
            slot = self._slots.get((parent, token))
            if slot is None:
                break
            self._used[slot] = self._clock
            slots.append(slot)
            parent = slot
        return slots

    def insert(self, ids: Sequence[int]) -> tuple[list[int], int]:
        """Return the slots of all `ids`, and how many of them were known before; the others' KV must be written now.

        The caller keeps what it uses in one round within the capacity.
        """
        slots = self.match(ids)
        known = len(slots)
        self._reserve(len(ids) - known)
        for token in ids[known:]:
            key = (slots[-1] if slots else -1, token)
            slot = self._free.pop()
            self._slots[key], self._keys[slot], self._used[slot] = slot, key, self._clock
            slots.append(slot)
        return slots, known

    def _reserve(self, count: int) -> None:
        """Make room for `count` tokens, and for some more, so that this is seldom done."""
        if count <= len(self._free):
            return
        missing = max(count - len(self._free), self.capacity // 8)
        ages = sorted(used for used, key in zip(self._used, self._keys, strict=True) if key and used < self._clock)
        limit = ages[min(missing, len(ages)) - 1] if ages else -1
        for slot, key in enumerate(self._keys):
            if key is not None and self._used[slot] <= limit:
                del self._slots[key]
                self._keys[slot] = None
                self._free.append(slot)
