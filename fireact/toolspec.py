"""What a model can call: the name of each action, what it takes, and what it does.

One that takes a single argument is called by it, `search[Paris]`; one that takes several, or none, by a JSON object,
`weather[{"city": "Paris", "days": 3}]`.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from fireact.errors import ConfigError, FormatError, ToolError

_PLAIN = {"type", "description", "example", "title", "default"}
"""What a schema may have that bounds no text."""
LONGEST = 200
"""Characters of a wrong argument that are repeated."""
LONGEST_NAME = 60
"""Characters of an action's name: what a program may call. OpenAI allows functions 64."""
RESERVED = ("finish", "plan", "program")
"""Names of what strategies offer beside the tools' actions."""
DEEPEST = 50
"""Lists and objects within each other in what a model gives."""


@dataclass(frozen=True)
class Call:
    """A function that a model calls, as in OpenAI's messages; its id there follows from its place."""

    name: str
    arguments: str
    """JSON, as the model wrote it."""

    def __str__(self) -> str:
        """As it is shown: 'search({"query": "Paris"})'."""
        return f"{self.name}({self.arguments})"

    @property
    def given(self) -> dict[str, Any] | None:
        """What it is called with; None where that is no JSON object."""
        try:
            given = _json(self.arguments or "{}")
            # A lone half of a surrogate pair, which JSON can spell, is no text.
            return json.loads(json.dumps(given, ensure_ascii=False).encode("utf-8", "replace")) if isinstance(
                given, dict) else None
        except ValueError:
            return None


@dataclass(frozen=True)
class ToolSpec:
    """One action of a tool."""

    name: str
    description: str = ""
    """For the model: what it does, and what comes back."""
    parameters: dict[str, Any] = field(default_factory=dict)
    """A JSON Schema of type object."""

    @property
    def properties(self) -> Mapping[str, Any]:
        """The schema of each argument, by its name; of one whose schema is only `true` or `false`, an empty one."""
        return {name: schema if isinstance(schema, dict) else {}
                for name, schema in self.parameters.get("properties", {}).items()}

    @property
    def sole(self) -> str | None:
        """The name of the only argument; None where there are several, or none."""
        return next(iter(self.properties)) if len(self.properties) == 1 else None

    def __str__(self) -> str:
        """How a model is told of it: 'search[query: string] looks words up.'."""
        required = self.parameters.get("required", [])
        taken = ", ".join(f"{name}{'' if name in required else '?'}: {_kind(schema)}"
                          for name, schema in self.properties.items())
        called = f"{self.name}[{taken}]" if self.sole else f"{self.name}[{{{taken}}}]"
        return f"{called} {self.description}".rstrip()

    def as_function(self) -> dict[str, Any]:
        """As OpenAI's `tools` and chat templates have it."""
        return {"type": "function", "function": {
            "name": self.name, "description": self.description,
            "parameters": self.parameters or {"type": "object", "properties": {}}}}

    def call(self, argument: str) -> Call:
        """The call of this action with what stands in the brackets of its text form."""
        sole = self.sole
        if sole is None:
            return Call(self.name, argument)
        return Call(self.name, json.dumps({sole: _typed(argument, self.properties[sole])}, ensure_ascii=False))

    def argument(self, call: Call) -> str:
        """What stands in the brackets for a call. Raises FormatError, which the model is shown."""
        given = call.given
        if given is None:
            raise FormatError(f"the arguments of {self.name} are no JSON object: {call.arguments[:LONGEST]!r}; write "
                              f"e.g. {self.example()}")
        if self.sole is None or set(given) != {self.sole}:
            return json.dumps(given, ensure_ascii=False)
        value = given[self.sole]
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

    def arguments(self, argument: str) -> dict[str, Any]:
        """The typed arguments for what stands in the brackets. Raises ToolError, which the model is shown."""
        given: Any = None
        if argument.lstrip().startswith("{") or self.sole is None:
            try:
                given = _json(argument or "{}")
            except ValueError:
                given = None
        sole = self.sole
        if sole is not None and not (isinstance(given, dict) and sole in given):
            given = {sole: _typed(argument, self.properties[sole])}
            if set(self.properties[sole]) <= _PLAIN and self.properties[sole].get("type") == "string":
                return given
        if not isinstance(given, dict):
            raise ToolError(f"{self.name} takes a JSON object, not {argument[:LONGEST]!r}; write e.g. {self.example()}")
        self._check(given)
        return given

    def _check(self, given: dict[str, Any]) -> None:
        """Hold arguments against their schema, but for its patterns. Raises ToolError."""
        strict = {**self.parameters, "additionalProperties": self.parameters.get("additionalProperties", False)}
        try:
            error = min(_checker()(strict).iter_errors(given), key=lambda found: len(found.path), default=None)
        except (ArithmeticError, ValueError, RecursionError) as failure:  # E.g. of multipleOf, for Infinity and NaN.
            raise ToolError(f"the arguments of {self.name} cannot be checked ({failure}); write e.g. {self.example()}"
                            ) from None
        if error is not None:
            where = f"the argument {'.'.join(map(str, error.path))!r} of {self.name} does" if error.path else (
                f"the arguments of {self.name} do")
            raise ToolError(f"{where} not fit: {error.message[:LONGEST]}; write e.g. {self.example()}")

    def example_call(self) -> Call:
        """A call with arguments of the right types."""
        return Call(self.name, json.dumps({name: _example(schema) for name, schema in self.properties.items()}))

    def example(self) -> str:
        """The same in words."""
        given = json.loads(self.example_call().arguments)
        if self.sole is None:
            return f"{self.name}[{json.dumps(given)}]"
        value = given[self.sole]
        return f"{self.name}[{value if isinstance(value, str) else json.dumps(value)}]"


def text_argument(name: str, what: str) -> dict[str, Any]:
    """The parameters of an action that takes one text."""
    return {"type": "object", "properties": {name: {"type": "string", "description": what}}, "required": [name]}


SEARCH = ToolSpec("search", "looks words up and shows what fits best.", text_argument("query", "what to look up"))
"""Of all tools that search."""
LOOKUP = ToolSpec("lookup", "shows the next sentence that holds these words in what the last search found.",
                  text_argument("words", "the words to look for"))


def action_name(name: str) -> str:
    """The name of an action for one that others gave, e.g. get_weather for getWeather: lower case, without dots.

    Raises ConfigError where nothing is left of it, and for one that has a meaning of its own.
    """
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    plain = re.sub(r"[^a-z0-9_-]+", "_", words.lower()).strip("_")
    if not plain or plain in RESERVED:
        why = f"{plain!r} has a meaning of its own" if plain else "it has none of the letters a to z and no digit"
        raise ConfigError(f"allow names {name!r}, by which no model can call an action, for {why}; take it out, or "
                          "give it another name where it comes from")
    return (f"_{plain}" if plain[:1].isdigit() or plain[:1] == "-" else plain)[:LONGEST_NAME]


def shortened(text: str, longest: int) -> str:
    """What a tool was told, as a model sees it: no more than `longest` characters, and a word where there are none."""
    if len(text) > longest:
        return f"{text[:longest]}... (the first {longest:,} of {len(text):,} characters)"
    return text or "The answer is empty."


def find(specs: Sequence[ToolSpec], name: str) -> ToolSpec | None:
    """The action of that name; None where there is none."""
    return next((spec for spec in specs if spec.name == name), None)


def _kind(schema: Mapping[str, Any]) -> str:
    if schema.get("enum"):
        return "|".join(map(str, schema["enum"]))
    kind = schema.get("type", "any")
    return "|".join(kind) if isinstance(kind, list) else str(kind)


def _typed(text: str, schema: Mapping[str, Any]) -> Any:
    """A text as the schema's type; itself where it is none of that type, so that the check tells what is wrong."""
    if schema.get("type", "string") == "string":
        return text
    try:
        return _json(text)
    except ValueError:
        return text


def _json(text: str) -> Any:
    """What a JSON text stands for. Raises ValueError, for one that is nested too deep to be worked with too."""
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if _is_deep(value, DEEPEST):
        raise ValueError("nested too deep")
    return value


def _is_deep(value: Any, left: int) -> bool:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return left < 0 or any(_is_deep(part, left - 1) for part in parts)


@cache
def _checker() -> Any:
    """The class of jsonschema's validator that leaves patterns to the server.

    One such as ^(a+)+$ takes Python hours, of a text that a model or a page wrote.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    def nothing(*_: Any) -> Iterable[Any]:
        return ()

    def additional(validator: Any, allowed: Any, given: Any, schema: Mapping[str, Any]) -> Iterable[Any]:
        check = Draft202012Validator.VALIDATORS["additionalProperties"]
        return () if "patternProperties" in schema else check(validator, allowed, given, schema)

    return extend(Draft202012Validator, {"pattern": nothing, "patternProperties": nothing,
                                         "unevaluatedProperties": nothing, "additionalProperties": additional})


def _example(schema: Mapping[str, Any]) -> Any:
    if "example" in schema:
        return schema["example"]
    if schema.get("enum"):
        return schema["enum"][0]
    return {"integer": 3, "number": 1.5, "boolean": True, "array": [], "object": {}}.get(_kind(schema), "Paris")
