"""What a training step sees: reading and checking examples, and dealing them out over steps, ranks and forward passes.

Every batch is a function of the seed and the step alone, so a resumed training sees what an undisturbed one would.
"""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from fireact.errors import DataError
from fireact.jsonl import distinct, read_located
from fireact.types import Example, Pair

Unit = Example | Pair
"""What is dealt as a whole."""
U = TypeVar("U", bound=Unit)


def read_examples(path: Path, kind: type[U] = Example, *, vocabulary: int, window: int | None) -> list[U]:
    """Read a jsonl of examples, or of pairs of them, and check each one. Raises DataError."""
    units = list(distinct(read_located(path, kind)))
    if not units:
        raise DataError(f"{path}: no examples; expected at least one, check the filters of the stage before")
    for unit in units:
        for example in unit.examples:
            problem = _problem(example, vocabulary, window)
            if problem:
                raise DataError(f"{path}: the example {example.id!r} {problem}")
    return units


def _problem(example: Example, vocabulary: int, window: int | None) -> str | None:
    if len(example.ids) != len(example.mask):
        return f"has {len(example.ids)} ids but a mask of {len(example.mask)}; expected the same length"
    if min(example.mask, default=0) < 0:
        return f"has {min(example.mask)} in its mask; expected weights of 0 and more"
    if not weight(example):
        return "has no trained tokens after its first; drop it, choose another train.loss, or mend what made its mask"
    if window is not None and len(example.ids) > window:
        return f"has {len(example.ids)} tokens, but the model's window holds {window}; tokenise it for this model"
    wrong = next((token for token in example.ids if not 0 <= token < vocabulary), None)
    if wrong is not None:
        return (f"holds the token id {wrong}, outside the model's vocabulary of {vocabulary}; "
                "render it with the tokenizer of the model that is trained")
    return None


def tokens(unit: Unit) -> int:
    """The number of its tokens."""
    return sum(len(example.ids) for example in unit.examples)


def places(unit: Unit, packs: bool) -> int:
    """The tokens that it takes in a forward pass: where examples are padded, each is as long as its longest."""
    return tokens(unit) if packs else len(unit.examples) * max(len(example.ids) for example in unit.examples)


def weight(example: Example) -> float:
    """The sum of the weights in the loss; the first token has nothing before it to be predicted from."""
    return sum(example.mask[1:])


def trained(unit: Unit) -> int:
    """The number of tokens a loss is taken of."""
    return sum(part > 0 for example in unit.examples for part in example.mask[1:])


def steps_per_epoch(count: int, batch_size: int) -> int:
    """The number of batches that `count` examples make; the last may be smaller."""
    return -(-count // batch_size)


def epoch_batches(count: int, batch_size: int, seed: int, epoch: int) -> list[list[int]]:
    """Deal the examples 0 to `count` - 1 into random batches of indices."""
    order = random.Random(f"{seed}/{epoch}").sample(range(count), count)
    return [order[start: start + batch_size] for start in range(0, count, batch_size)]


def dealt(batch: Sequence[int], lengths: Sequence[int], count: int) -> list[list[int]]:
    """Deal a batch out into `count` parts that are about equally long; some may be empty."""
    parts: list[list[int]] = [[] for _ in range(count)]
    sizes = [0] * count
    for i in sorted(batch, key=lambda i: lengths[i], reverse=True):
        place = sizes.index(min(sizes))
        parts[place].append(i)
        sizes[place] += lengths[i]
    return parts


def micro_batches(batch: Sequence[int], lengths: Sequence[int], tokens: int, rank: int, ranks: int) -> list[list[int]]:
    """Return this rank's share of a batch, in parts of at most `tokens` tokens, but for a longer example by itself.

    The parts are about equally long, and every rank gets as many as every other; a part may be empty.
    """
    room = max(tokens, max(lengths[i] for i in batch))
    count = -(-sum(lengths[i] for i in batch) // room)
    while True:
        count = -(-count // ranks) * ranks
        parts = dealt(batch, lengths, count)
        if max(sum(lengths[i] for i in part) for part in parts) <= room:
            return parts[rank::ranks]
        count += 1


def padded_batches(batch: Sequence[int], lengths: Sequence[int], tokens: int, rank: int,
                   ranks: int) -> list[list[int]]:
    """The same where each part is padded to its longest example: parts of similar length, padding counted."""
    parts: list[list[int]] = []
    for i in sorted(batch, key=lambda i: lengths[i], reverse=True):
        if parts and (len(parts[-1]) + 1) * lengths[parts[-1][0]] <= tokens:
            parts[-1].append(i)
        else:
            parts.append([i])
    parts += [[] for _ in range(-len(parts) % ranks)]
    return parts[rank::ranks]
