"""Pairs as rows: the same tokens as trajectories have, both sides or none, and an audit of both."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fireact import tokenize
from fireact.curate import HELD_PREFERENCES, PREFERENCES
from fireact.errors import DataError
from fireact.examples import example
from fireact.jsonl import encode, read_jsonl
from fireact.preferences import Preference
from fireact.tokenize import AUDIT
from fireact.tokenize.pairs import pairs, sides, together
from fireact.train import TOKENS, Train
from fireact.types import Pair, Score, StopReason, Trajectory
from tests.model.tiny import tiny_model, tiny_tokenizer
from tests.tokenize.test_rows import LONG, builder, record

GOOD = record("Paris it is.")
BAD = replace(record("Lyon?", "Marseille?"), answer="Lyon", score=Score(0, 0), attempt=1)


def rows(preferences: Sequence[Preference], window: int, too_long: Any = "drop") -> list[Any]:
    made = builder(window, too_long)
    return together([made.row(one, name) for name, one in sides(preferences)])


def test_both_sides_are_tokenised_as_trajectories_are() -> None:
    [pair] = pairs(rows([Preference(GOOD, BAD, 2)], 10_000))
    assert pair.id == "d/react/0/pair2"
    for side, trajectory in ((pair.chosen, GOOD), (pair.rejected, BAD)):
        assert replace(side, id="") == replace(example(tiny_tokenizer(), trajectory), id="")
    assert (pair.chosen.id, pair.rejected.id) == ("d/react/0/pair2/chosen", "d/react/0/pair2/rejected")


@pytest.mark.parametrize("swapped", [False, True])
def test_a_side_that_is_left_out_takes_the_other_with_it(swapped: bool) -> None:
    long = replace(record(LONG, LONG, name="1"), score=Score(0, 0))
    short = record("Paris it is.", name="1")
    found = rows([Preference(GOOD, BAD), Preference(long, short) if swapped else Preference(short, long)], 150)
    assert [pair.id for pair in pairs(found)] == ["d/react/0"]
    summary = tokenize.audit.summarize(found)
    sides_of = ["d/react/1/chosen", "d/react/1/rejected"]
    assert summary["faults"]["dropped"] == [sides_of[not swapped]]
    assert summary["faults"]["unpaired"] == [sides_of[swapped]]
    assert (summary["rows"], summary["used"]) == (4, 2)
    assert "the other side of its pair is left out: " in summary["left_out"][sides_of[swapped]]


def job(folder: Path, preferences: Sequence[Preference], **changes: Any) -> dict[str, Any]:
    (folder / "curated").mkdir()
    for name in (PREFERENCES, HELD_PREFERENCES):
        (folder / "curated" / name).write_text("".join(f"{encode(one)}\n" for one in preferences), encoding="utf-8")
    train = Train()
    return {"curated": str(folder / "curated"), "curated_key": "", "home": str(folder / "home"), "pairs": True,
            "model": {"_target_": "fireact.model.local.Local", "name": "tiny", "source": str(tiny_model(folder / "m"))},
            **{name: getattr(train, name) for name in TOKENS}, **changes}


def test_the_stage_writes_pairs_and_audits_both_sides(tmp_path: Path) -> None:
    preferences = [Preference(GOOD, BAD), Preference(GOOD, replace(BAD, stop=StopReason.ROUNDS), 1)]
    tokenize.run(job(tmp_path, preferences), tmp_path)
    found = list(read_jsonl(tmp_path / "train.jsonl", Pair))
    assert [pair.id for pair in found] == ["d/react/0", "d/react/0/pair1"]
    assert len(list(read_jsonl(tmp_path / "validation.jsonl", Pair))) == 2
    audit = json.loads((tmp_path / AUDIT).read_text(encoding="utf-8"))["train"]
    assert audit["rows"] == audit["used"] == 4
    assert audit["tokens"] == sum(len(side.ids) for pair in found for side in pair.examples)


def test_tokens_of_pairs_are_others_than_those_of_trajectories(tmp_path: Path) -> None:
    values = job(tmp_path, [Preference(GOOD, BAD)])
    keys = [tokenize.TokenizeJob.model_validate({**values, "pairs": pairs}).key() for pairs in (True, False)]
    assert keys[0] != keys[1]


def test_a_folder_without_pairs_is_told(tmp_path: Path) -> None:
    values = job(tmp_path, [])
    (tmp_path / "curated" / PREFERENCES).unlink()
    with pytest.raises(DataError, match=r"preferences\.jsonl does not exist; run stage=curate first, with "
                                        r"curate\.pairs of 1 or more, or name a folder with preferences\.jsonl and "):
        tokenize.run(values, tmp_path)


def test_a_side_with_nothing_to_learn_is_told_and_not_called_too_long() -> None:
    silent: Trajectory = replace(BAD, steps=BAD.steps[:0])
    found = rows([Preference(GOOD, silent)], 10_000)
    faults = tokenize.audit.summarize(found)["faults"]
    assert (faults["untrained"], faults["unpaired"], faults["dropped"]) == (["d/react/0/rejected"],
                                                                           ["d/react/0/chosen"], [])
