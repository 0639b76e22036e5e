"""Reading, checking and batching examples."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fireact.errors import DataError
from fireact.jsonl import encode
from fireact.train import TooLong, data
from fireact.types import Example

lengths_of = st.lists(st.integers(2, 300), min_size=1, max_size=200)


def read(tmp_path: Path, *examples: Example, too_long: TooLong = "error") -> tuple[list[Example], data.Cuts]:
    path = tmp_path / "examples.jsonl"
    path.write_text("".join(f"{encode(example)}\n" for example in examples), encoding="utf-8")
    return data.read_examples(path, vocabulary=10, window=4, too_long=too_long)


@pytest.mark.parametrize(("example", "sentence"), [
    (Example("q", (1, 2), (0, 1, 1)), "'q' has 2 ids but a mask of 3"),
    (Example("q", (1, 2), (0, 2)), "'q' has 2 in its mask; expected only 0 and 1"),
    (Example("q", (1, 2), (1, 0)), "'q' has no trained tokens after its first"),
    (Example("q", (1, 2, 3, 4, 5), (0, 1, 1, 1, 1)), "'q' has 5 tokens, but at most 4 fit"),
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


FITS, ENDS = Example("fits", (1, 2, 3, 4), (0, 0, 1, 1)), Example("ends", (1, 2, 3, 4, 5), (0, 0, 1, 1, 0))
LOSES, EMPTY = Example("loses", (1, 2, 3, 4, 5, 6), (0, 1, 0, 1, 1, 1)), Example("empty", (1,) * 6, (1, 0, 0, 0, 1, 1))


def test_what_is_too_long_is_cut_and_counted(tmp_path: Path) -> None:
    kept, cuts = read(tmp_path, FITS, ENDS, LOSES, EMPTY, too_long="truncate")
    assert kept == [FITS, Example("ends", (1, 2, 3, 4), (0, 0, 1, 1)), Example("loses", (1, 2, 3, 4), (0, 1, 0, 1))]
    assert cuts == data.Cuts(truncated=2, lost_answer=1, dropped=1)
    assert cuts.counts("validation_") == {"validation_truncated": 2, "validation_lost_answer": 1,
                                          "validation_dropped": 1}
    assert cuts.sentence("training", 4) == ("training examples longer than 4 tokens: 2 cut at the end, 1 of them "
                                            "without the end of their final answer; 1 dropped")


def test_what_is_too_long_is_dropped_and_counted(tmp_path: Path) -> None:
    assert read(tmp_path, FITS, ENDS, LOSES, EMPTY, too_long="drop") == ([FITS], data.Cuts(dropped=3))
    assert read(tmp_path, FITS, too_long="drop") == ([FITS], data.Cuts())
    assert data.Cuts().sentence("training", 4) is None


@pytest.mark.parametrize("too_long", ["truncate", "drop"])
def test_what_is_broken_is_refused_though_it_would_be_cut(tmp_path: Path, too_long: TooLong) -> None:
    for example, sentence in ((Example("q", (1,) * 4 + (10,), (0, 1, 1, 1, 1)), "holds the token id 10"),
                              (Example("q", (1,) * 5, (1, 0, 0, 0, 0)), "has no trained tokens after its first"),
                              (Example("q", (1,) * 5, (0, 1)), "has 5 ids but a mask of 2")):
        with pytest.raises(DataError, match=sentence):
            read(tmp_path, FITS, example, too_long=too_long)


@given(lengths_of, st.integers(1, 12), st.integers(0, 3))
def test_an_epoch_has_every_example_once(lengths: list[int], size: int, seed: int) -> None:
    batches = data.epoch_batches(lengths, size, seed, epoch=1)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    assert len(batches) == data.steps_per_epoch(len(lengths), size)
    assert batches == data.epoch_batches(lengths, size, seed, epoch=1)


def test_epochs_and_seeds_differ_and_batches_are_of_similar_length() -> None:
    lengths = [10 + 7 * i % 200 for i in range(256)]
    batches = data.epoch_batches(lengths, 8, seed=0, epoch=0)
    assert batches != data.epoch_batches(lengths, 8, seed=0, epoch=1)
    assert batches != data.epoch_batches(lengths, 8, seed=1, epoch=0)
    padded = sum(len(batch) * max(lengths[i] for i in batch) for batch in batches)
    assert padded < 1.1 * sum(lengths)


@given(st.lists(st.integers(2, 300), min_size=1, max_size=40), st.integers(1, 9), st.integers(1, 5))
def test_ranks_share_a_batch(lengths: list[int], size: int, ranks: int) -> None:
    batch = list(range(len(lengths)))
    shares = [data.micro_batches(batch, lengths, size, rank, ranks) for rank in range(ranks)]
    assert sorted(i for share in shares for part in share for i in part) == batch
    assert len({len(share) for share in shares}) == 1
    assert all(len(part) <= size for share in shares for part in share)


def test_targets_are_the_next_tokens_that_are_trained_on() -> None:
    ids, targets = data.pad([Example("a", (5, 6, 7), (0, 1, 0)), Example("b", (1, 2, 3, 4), (1, 0, 1, 1))])
    assert ids == [[5, 6, 7, 0], [1, 2, 3, 4]]
    assert targets == [[6, data.IGNORE, data.IGNORE, data.IGNORE], [data.IGNORE, 3, 4, data.IGNORE]]
    assert data.pad([]) == ([[0]], [[data.IGNORE]])
