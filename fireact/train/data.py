"""What a training step sees: reading and checking examples, and dealing them out in batches of similar length.

Every batch is a function of the seed and the step alone, so a resumed training sees what an undisturbed one would.
"""

import random
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from fireact.errors import DataError
from fireact.jsonl import distinct, read_located
from fireact.train import TooLong
from fireact.types import Example

IGNORE = -100
"""The target of a position that is not trained on."""

_POOL = 16
"""Batches whose examples are sorted by length together: more saves padding, fewer mixes lengths better."""


@dataclass
class Cuts:
    """What became of the examples that were too long. Nothing is cut or dropped without being counted here."""

    truncated: int = 0
    """So many had their end cut off and are used as they then are."""
    lost_answer: int = 0
    """So many of these lost at least the end of the last turn to be learnt, which holds the final answer."""
    dropped: int = 0
    """So many are not used; with `truncate` those in whose beginning there is nothing to learn."""

    def counts(self, prefix: str = "") -> dict[str, int]:
        """The numbers by name, for done.json."""
        return {f"{prefix}{name}": count for name, count in asdict(self).items()}

    def sentence(self, kind: str, window: int | None) -> str | None:
        """Say it of `kind` examples, None where there is nothing to say."""
        if not self.truncated + self.dropped:
            return None
        return (f"{kind} examples longer than {window} tokens: {self.truncated} cut at the end, {self.lost_answer} of "
                f"them without the end of their final answer; {self.dropped} dropped")


def read_examples(path: Path, *, vocabulary: int, window: int | None,
                  too_long: TooLong = "error") -> tuple[list[Example], Cuts]:
    """Read a jsonl of examples, check each one, and deal with those that are too long.

    `vocabulary` is the number of token ids, `window` the longest example in tokens, None where there is no limit.
    Raises DataError for a file without examples, and for an example that cannot be trained on as it is.
    """
    examples = list(distinct(read_located(path, Example)))
    if not examples:
        raise DataError(f"{path}: no examples; expected at least one, check the filters of the stage before")
    for example in examples:
        problem = _problem(example, vocabulary, window if too_long == "error" else None)
        if problem:
            raise DataError(f"{path}: the example {example.id!r} {problem}")
    return _fitting(examples, window or sys.maxsize, too_long)


def _problem(example: Example, vocabulary: int, window: int | None) -> str | None:
    if len(example.ids) != len(example.mask):
        return f"has {len(example.ids)} ids but a mask of {len(example.mask)}; expected the same length"
    if not set(example.mask) <= {0, 1}:
        return f"has {max(example.mask, key=abs)} in its mask; expected only 0 and 1"
    if trained(example) == 0:
        return "has no trained tokens after its first; drop it, choose another train.loss, or mend what made its mask"
    if window is not None and len(example.ids) > window:
        return (f"has {len(example.ids)} tokens, but at most {window} fit (train.max_length, or the model's window); "
                "raise train.max_length if the model allows, drop it with the filter 'fits', or say by "
                "train.too_long=truncate or drop what becomes of such")
    wrong = next((token for token in example.ids if not 0 <= token < vocabulary), None)
    if wrong is not None:
        return (f"holds the token id {wrong}, outside the model's vocabulary of {vocabulary}; "
                "render it with the tokenizer of the model that is trained")
    return None


def _fitting(examples: Sequence[Example], window: int, too_long: TooLong) -> tuple[list[Example], Cuts]:
    kept, cuts = [], Cuts()
    for example in examples:
        if len(example.ids) > window:
            cut = replace(example, ids=example.ids[:window], mask=example.mask[:window])
            if too_long == "drop" or trained(cut) == 0:
                cuts.dropped += 1
                continue
            cuts.truncated += 1
            cuts.lost_answer += trained(cut) < trained(example)
            example = cut
        kept.append(example)
    return kept, cuts


def trained(example: Example) -> int:
    """The number of tokens a loss is taken of: the first token has nothing before it to be predicted from."""
    return sum(example.mask[1:])


def steps_per_epoch(count: int, batch_size: int) -> int:
    """The number of batches that `count` examples make; the last may be smaller."""
    return -(-count // batch_size)


def epoch_batches(lengths: Sequence[int], batch_size: int, seed: int, epoch: int) -> list[list[int]]:
    """Deal all examples, given by their lengths in tokens, into batches of indices: random, but of similar length."""
    draw = random.Random(f"{seed}/{epoch}")
    order = draw.sample(range(len(lengths)), len(lengths))
    pool = _POOL * batch_size
    batches = []
    for start in range(0, len(order), pool):
        alike = sorted(order[start: start + pool], key=lambda i: lengths[i])
        batches += [alike[i: i + batch_size] for i in range(0, len(alike), batch_size)]
    draw.shuffle(batches)
    return batches


def micro_batches(batch: Sequence[int], lengths: Sequence[int], size: int, rank: int, ranks: int) -> list[list[int]]:
    """Return this rank's share of a batch, in parts of at most `size` examples of similar length.

    Every rank gets as many parts as every other; a part may be empty.
    """
    size = min(size, -(-len(batch) // ranks))
    alike = sorted(batch, key=lambda i: lengths[i], reverse=True)
    parts = [alike[i: i + size] for i in range(0, len(alike), size)]
    parts += [[]] * (-len(parts) % ranks)
    return parts[rank::ranks]


def pad(examples: Sequence[Example]) -> tuple[list[list[int]], list[list[int]]]:
    """Return token ids and targets as equally long rows; no example makes one row of one untrained token.

    A position's target is the token after it, or IGNORE. Rows are filled up on the right with id 0: under causal
    attention no real token ever looks there, so no attention mask is needed.
    """
    longest = max((len(example.ids) for example in examples), default=1)
    ids, targets = [], []
    for example in examples:
        fill = longest - len(example.ids)
        following = zip(example.ids[1:], example.mask[1:], strict=True)
        ids.append([*example.ids, *[0] * fill])
        targets.append([*(token if mask else IGNORE for token, mask in following), *[IGNORE] * (fill + 1)])
    return (ids, targets) if examples else ([[0]], [[IGNORE]])
