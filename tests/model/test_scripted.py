"""Replies given by hand: in order, the last one for ever, none computed."""

import asyncio

import pytest

from fireact.errors import ConfigError
from fireact.model.scripted import Scripted
from fireact.plugins import check
from fireact.requests import Ask
from fireact.types import Message

NODE = {"_target_": "fireact.model.scripted.Scripted"}


def reply(model: Scripted, question: str, *said: str) -> str:
    turns = [message for text in said for message in (Message("assistant", text), Message("user", "seen"))]
    return asyncio.run(model.complete(Ask((Message("user", question), *turns)))).text


def test_it_says_its_replies_in_order_and_repeats_the_last() -> None:
    model = Scripted(replies=["one", "two"], by_question={"Q?": ["other"]})
    assert [reply(model, "x"), reply(model, "x", "one"), reply(model, "x", "one", "two")] == ["one", "two", "two"]
    assert reply(model, "Q?") == "other"


@pytest.mark.parametrize(("options", "place"), [
    ({"replies": []}, r"model\.replies=\[\]"),
    ({"by_question": {"Q?": []}}, r"model\.by_question\.Q\?=\[\]"),
])
def test_no_reply_at_all_is_refused(options: dict, place: str) -> None:
    with pytest.raises(ConfigError, match=f"{place} does not fit: list should have at least 1 item"):
        check({**NODE, **options}, "model")
