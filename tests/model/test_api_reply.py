"""Answers that are odd in one place, and good in the rest."""

import json
from typing import Any

import pytest

from fireact.model.api.reply import Usage, parse


def answer(content: Any, **rest: Any) -> bytes:
    return json.dumps({"choices": [{"message": {"content": content}, "finish_reason": "stop"}], **rest}).encode()


@pytest.mark.parametrize(("content", "text"), [
    ([{"type": "text", "text": "a"}, {"type": "image"}, {"type": "text", "text": "b"}], "ab"), ([], ""),
    ("half \ud83d", "half ?"), ("whole \U0001f600", "whole \U0001f600"),
])
def test_a_text_in_parts_or_with_half_a_letter_is_read(content: Any, text: str) -> None:
    assert parse(answer(content), "there").text == text


@pytest.mark.parametrize("usage", [{"prompt_tokens": "ten"}, {"completion_tokens": -1}, [], "none", None])
def test_a_usage_that_makes_no_sense_is_none(usage: Any) -> None:
    reply = parse(answer("yes", usage=usage), "there")
    assert (reply.text, reply.usage) == ("yes", None)
    assert parse(answer("yes", usage={"prompt_tokens": 3}), "there").usage == Usage(prompt_tokens=3)
