"""Reading, checking and batching examples."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fireact.errors import DataError
from fireact.jsonl import encode
from fireact.train import data
from fireact.types import Example

lengths_of = st.lists(st.integers(2, 300), min_size=1, max_size=40)


def read(tmp_path: Path, *examples: Example) -> list[Example]:
    path = tmp_path / "examples.jsonl"
    path.write_text("".join(f"{encode(example)}\n" for example in examples), encoding="utf-8")
    return data.read_examples(path, vocabulary=10, window=4)


@pytest.mark.parametrize(("example", "sentence"), [
    (Example("q", (1, 2), (0, 1, 1)), "'q' has 2 ids but a mask of 3"),
    (Example("q", (1, 2), (0, -0.5)), "'q' has -0.5 in its mask; expected weights of 0 and more"),
    (Example("q", (1, 2), (1, 0)), "'q' has no trained tokens after its first"),
    (Example("q", (1, 2, 3, 4, 5), (0, 1, 1, 1, 1)), "'q' has 5 tokens, but the model's window holds 4"),
    (Example("q", (1, 10), (0, 1)), "'q' holds the token id 10, outside the model's vocabulary of 10"),
    (Example("q", (1, -1), (0, 1)), "'q' holds the token id -1"),
])
def test_an_unusable_example_is_named(tmp_path: Path, example: Example, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        read(tmp_path, Example("fine", (1, 2), (0, 1)), example)


def test_no_examples_and_equal_ids_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no examples; expected at least one"):
        read(tmp_path)
    with pytest.raises(DataError, match="'q' was already used"):
        read(tmp_path, Example("q", (1, 2), (0, 1)), Example("q", (1, 3), (0, 1)))


def test_weights_and_roles_are_read_as_they_were_written(tmp_path: Path) -> None:
    examples = [Example("a", (1, 2, 3), (0, 0.5, 2), "qta"), Example("b", (1, 2), (0, 1))]
    assert read(tmp_path, *examples) == examples
    assert (data.weight(examples[0]), data.trained(examples[0])) == (2.5, 2)


@given(st.integers(1, 200), st.integers(1, 12), st.integers(0, 3))
def test_an_epoch_has_every_example_once(count: int, size: int, seed: int) -> None:
    batches = data.epoch_batches(count, size, seed, epoch=1)
    assert sorted(i for batch in batches for i in batch) == list(range(count))
    assert len(batches) == data.steps_per_epoch(count, size)
    assert batches == data.epoch_batches(count, size, seed, epoch=1)


def test_epochs_and_seeds_differ() -> None:
    batches = data.epoch_batches(256, 8, seed=0, epoch=0)
    assert batches != data.epoch_batches(256, 8, seed=0, epoch=1)
    assert batches != data.epoch_batches(256, 8, seed=1, epoch=0)


@given(lengths_of, st.integers(1, 900), st.integers(1, 5), st.sampled_from([data.micro_batches, data.padded_batches]))
def test_ranks_share_a_batch_within_the_tokens(lengths: list[int], tokens: int, ranks: int, share) -> None:
    batch = list(range(len(lengths)))
    shares = [share(batch, lengths, tokens, rank, ranks) for rank in range(ranks)]
    assert sorted(i for one in shares for part in one for i in part) == batch
    assert len({len(one) for one in shares}) == 1
    padded = share is data.padded_batches
    for part in (part for one in shares for part in one if part):
        taken = len(part) * max(lengths[i] for i in part) if padded else sum(lengths[i] for i in part)
        assert taken <= max(tokens, max(lengths)) if not padded else taken <= tokens or len(part) == 1


def test_the_parts_of_a_batch_are_about_equally_long() -> None:
    lengths = [300, 280, 270, 250, 60, 50, 40, 30]
    parts = data.micro_batches(range(8), lengths, 700, rank=0, ranks=1)
    sizes = [sum(lengths[i] for i in part) for part in parts]
    assert len(sizes) == 2
    assert max(sizes) - min(sizes) < 40
