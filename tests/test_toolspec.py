"""Arguments that models write are typed and checked, whatever they are."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fireact.errors import ConfigError, ToolError
from fireact.toolspec import LONGEST_NAME, RESERVED, SEARCH, Call, ToolSpec, action_name

DEEP = ['{"a":' * 3000 + "1" + "}" * 3000, '{"a":' * 100 + "1" + "}" * 100, "[" * 100_000]
DAMAGED = [*DEEP, "Infinity", "NaN", "1e400", "-1e400", '{"n": Infinity}', "9" * 6000, "{", "null", "", "[[", "true"]


def spec(**schemas: Any) -> ToolSpec:
    return ToolSpec("num", "", {"type": "object", "properties": schemas, "required": list(schemas)})


@pytest.mark.parametrize("argument", DAMAGED)
@pytest.mark.parametrize("schema", [{"type": "integer", "multipleOf": 0.5}, {"type": "array", "uniqueItems": True}])
def test_what_is_no_value_of_its_type_is_told(schema: dict[str, Any], argument: str) -> None:
    for this in (spec(n=schema), spec(n=schema, m=schema)):
        this.call(argument)
        with pytest.raises(ToolError, match=r"; write e\.g\. num\["):
            this.arguments(argument)


@pytest.mark.parametrize("argument", DEEP)
def test_braces_may_be_searched_for(argument: str) -> None:
    assert SEARCH.arguments(argument) == {"query": argument}
    assert json.loads(SEARCH.call(argument).arguments) == {"query": argument}
    assert Call("search", argument).given is None


@settings(max_examples=200, deadline=None)
@given(st.text() | st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner)
                                | st.dictionaries(st.sampled_from(["n", "m"]) | st.text(), inner)).map(json.dumps))
def test_anything_is_taken_or_refused(argument: str) -> None:
    for this in (SEARCH, spec(n={"type": "integer", "multipleOf": 0.5}), spec(n={"type": ["array", "null"]}, m={})):
        with suppress(ToolError):
            assert isinstance(this.arguments(argument), dict)


def test_one_argument_does_not_fit_and_several_do_not() -> None:
    this = spec(n={"type": "integer"}, m={"type": "integer"})
    with pytest.raises(ToolError, match=r"^the arguments of num do not fit: 'm' is a required property; write"):
        this.arguments('{"n": 1}')
    with pytest.raises(ToolError, match=r"^the argument 'm' of num does not fit: 'x' is not of type 'integer'; write"):
        this.arguments('{"n": 1, "m": "x"}')


def test_patterns_are_left_to_the_server() -> None:
    """This one would take Python hours."""
    evil = "^(a+)+$"
    text = "a" * 60 + "b"
    assert spec(n={"type": "string", "pattern": evil}).arguments(text) == {"n": text}
    named = spec(n={"type": "object", "patternProperties": {evil: {}}, "additionalProperties": False})
    assert named.arguments(json.dumps({"n": {text: 1}})) == {"n": {text: 1}}
    with pytest.raises(ToolError, match="'m' was unexpected"):
        spec(n={"type": "object", "additionalProperties": False}).arguments('{"n": {"m": 1}}')


def test_schemas_that_say_little_are_shown_and_fit() -> None:
    this = spec(any=True, none={"enum": []})
    assert str(this) == "num[{any: any, none: any}]"
    assert this.example() == 'num[{"any": "Paris", "none": "Paris"}]'
    assert spec(any=True).arguments("x") == {"any": "x"}
    with pytest.raises(ToolError, match=r"is not one of \[\]"):
        spec(none={"enum": []}).arguments("x")


def test_a_name_is_one_that_can_be_called() -> None:
    assert [action_name(name) for name in ("getWeather", "HTTPGet.v2", "2fast", "获取a", "finished")] == [
        "get_weather", "http_get_v2", "_2fast", "a", "finished"]
    assert len(action_name("a" * 64)) == LONGEST_NAME == 60
    for name in ("", "!!!", "获取", *RESERVED, "Plan"):
        with pytest.raises(ConfigError, match=r"^allow names .*, by which no model can call an action, for .*; take"):
            action_name(name)
