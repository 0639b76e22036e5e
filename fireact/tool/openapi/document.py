"""Read an OpenAPI 3 document: its address, and the operations that a model may call, each with its parameters."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from fireact.errors import ConfigError, ToolError, suggest
from fireact.schemas import Refs, check_schema, plain, resolved
from fireact.tool.openapi.aliases import load
from fireact.toolspec import ToolSpec, action_name
from fireact.web import is_address

_METHODS = ("get", "head", "options", "trace", "post", "put", "patch", "delete")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_SEPARATORS = {"spaceDelimited": " ", "pipeDelimited": "|"}
_SENTENCE = 200
"""Characters of a description."""


@dataclass(frozen=True)
class Parameter:
    """One that a model sets."""

    name: str
    place: Literal["path", "query"]
    schema: dict[str, Any]
    required: bool
    separator: str
    """Between the values of a list; empty where each is sent as a parameter of its own."""

    def written(self, value: Any) -> str | list[str]:
        """A value as it is sent, before it is encoded."""
        if not isinstance(value, list):
            return _word(value)
        return self.separator.join(map(_word, value)) if self.separator else list(map(_word, value))


@dataclass(frozen=True)
class Operation:
    """A GET of the API."""

    path: str
    """With its placeholders."""
    parameters: tuple[Parameter, ...]
    spec: ToolSpec

    def request(self, given: Mapping[str, Any]) -> tuple[str, dict[str, str | list[str]]]:
        """The encoded path and the query for typed arguments. Raises ToolError for what would leave the path."""
        sent = {each.name: each.written(given[each.name]) for each in self.parameters if each.name in given}
        path = _PLACEHOLDER.sub(lambda found: self._segment(found[1], str(sent[found[1]])), self.path)
        return path, {each.name: sent[each.name] for each in self.parameters
                      if each.place == "query" and each.name in sent}

    def _segment(self, name: str, text: str) -> str:
        # A server may decode %2F before it looks where a path leads to.
        if not text or {".", ".."} & set(re.split(r"[/\\]", text)) or not text.isprintable():
            raise ToolError(f"the argument {name!r} of {self.spec.name} cannot be {text[:60]!r}; write e.g. "
                            f"{self.spec.example()}")
        return quote(text, safe="", errors="replace")


@dataclass(frozen=True)
class Document:
    """An OpenAPI document."""

    file: Path
    root: dict[str, Any]

    @classmethod
    def read(cls, file: Path) -> "Document":
        """Read JSON or YAML. Raises ConfigError."""
        root = _read(file)
        if not isinstance(root, dict) or not str(root.get("openapi", "")).startswith("3."):
            version = root.get("swagger") or root.get("openapi") if isinstance(root, dict) else None
            has = f"one of version {version}" if version else "none"
            raise ConfigError(f"{file} is to be an OpenAPI document of version 3 and is {has}; name one, or convert it")
        return cls(file, root)

    @property
    def title(self) -> str:
        """How sentences call the API."""
        return _line(_mapping(self.root.get("info", {}), f"{self.file}: info").get("title") or self.file.name)[:60]

    @property
    def server(self) -> str:
        """The address of the first server, its variables at their defaults. Raises ConfigError."""
        servers = self.root.get("servers") or [{}]
        first = _mapping(servers[0] if isinstance(servers, list) else servers, f"{self.file}: servers.0")
        variables = _mapping(first.get("variables", {}), f"{self.file}: servers.0.variables")
        url = _PLACEHOLDER.sub(lambda found: str(_mapping(variables.get(found[1], {}), found[1]).get("default", "")),
                               str(first.get("url", "")))
        if not is_address(url):
            raise ConfigError(f"{self.file} does not say where the API is: its first server is {url!r}; set base_url, "
                              "e.g. https://example.org/api")
        return url

    @property
    def readable(self) -> list[str]:
        """The names of all operations that only read."""
        return [name for name, method, *_ in self._all() if method == "get"]

    def operations(self, allow: Sequence[str], headers: set[str], placed: bool) -> Iterator[Operation]:
        """Those that are allowed, in that order; `headers` are sent, in lower case, and `placed` if base_url is given.

        Raises ConfigError.
        """
        known = list(self._all())
        names = [name for name, *_ in known]
        for wanted in allow:
            if names.count(wanted) != 1:
                raise ConfigError(f"allow names {wanted!r}, of which {self.file} has {names.count(wanted)}"
                                  f"{suggest(wanted, names[:40])}")
            _, method, path, item, operation = known[names.index(wanted)]
            if method != "get":
                raise ConfigError(f"allow names {wanted!r}, which is a {method.upper()}: only a GET reads without "
                                  "changing anything and shows a text; take it out")
            if not placed and ("servers" in item or "servers" in operation):
                raise ConfigError(f"{wanted!r} of {self.file} has a server of its own; set base_url to where it is")
            yield self._operation(wanted, path, item, operation, headers)

    def _all(self) -> Iterator[tuple[str, str, str, dict[str, Any], dict[str, Any]]]:
        """Name, method, path, the path's item and the operation; one without an operationId is called 'GET /path'."""
        for path, item in _mapping(self.root.get("paths", {}), f"{self.file}: paths").items():
            refs = Refs(self.root, f"{path} of {self.file}")
            item = _mapping(refs.follow(item), f"{self.file}: {path}")
            for method in (each for each in _METHODS if each in item):
                operation = _mapping(refs.follow(item[method]), f"{self.file}: {path}.{method}")
                yield str(operation.get("operationId") or f"{method.upper()} {path}"), method, path, item, operation

    def _operation(self, wanted: str, path: str, item: dict[str, Any], operation: dict[str, Any],
                   headers: set[str]) -> Operation:
        where = f"{wanted!r} of {self.file}"
        parameters = tuple(self._parameters([*_list(item.get("parameters", []), where),
                                             *_list(operation.get("parameters", []), where)], where, headers))
        placed = [each.name for each in parameters if each.place == "path"]
        if sorted(placed) != sorted(set(_PLACEHOLDER.findall(path))) or not path.startswith("/"):
            raise ConfigError(f"{where} has the path {path!r} and the path parameters {placed}, which do not match; "
                              "mend the document")
        if len({each.name for each in parameters}) < len(parameters):
            raise ConfigError(f"{where} has two parameters of the same name, which a model cannot tell apart")
        schema = {"type": "object", "properties": {each.name: each.schema for each in parameters},
                  "required": [each.name for each in parameters if each.required]}
        check_schema(schema, where)
        told = _line(operation.get("summary") or operation.get("description") or path)
        return Operation(path, parameters, ToolSpec(action_name(wanted), told[:_SENTENCE], schema))

    def _parameters(self, given: list[Any], where: str, headers: set[str]) -> Iterator[Parameter]:
        """Those of paths and queries; of the same name and place the last one counts."""
        found = {}
        for each in given:
            told = _mapping(resolved(each, Refs(self.root, where)), f"a parameter of {where}")
            found[str(told.get("name")), told.get("in")] = told
        for (name, place), told in found.items():
            required = bool(told.get("required")) or place == "path"
            if place in ("path", "query"):
                yield self._parameter(name, place, told, required, where)
            elif required and not (place == "header" and name.lower() in headers):
                raise ConfigError(f"{where} needs the {place} {name}, which a model cannot set; give it by "
                                  f"headers: {{{name}: ...}}, or take the operation out")

    def _parameter(self, name: str, place: Literal["path", "query"], told: dict[str, Any], required: bool,
                   where: str) -> Parameter:
        schema = plain(_mapping(told.get("schema", {}), f"{name} of {where}"), self.root["openapi"])
        if "content" in told or "object" in (schema.get("type"), *_list(schema.get("type", []), where, one=True)):
            raise ConfigError(f"{where} takes an object as {name}, which no address can hold; take the operation out")
        for key in ("description", "example"):
            if key in told:
                schema[key] = _line(told[key])[:_SENTENCE] if key == "description" else told[key]
        style = told.get("style", "form" if place == "query" else "simple")
        repeated = place == "query" and told.get("explode", style == "form")
        return Parameter(name, place, schema, required, "" if repeated else _SEPARATORS.get(style, ","))


def _read(file: Path) -> Any:
    from yaml import YAMLError

    try:
        text = file.read_text(encoding="utf-8-sig")
        # By way of JSON, for YAML has numbers as keys.
        return json.loads(text) if text.lstrip().startswith("{") else json.loads(json.dumps(load(text), default=str))
    except (OSError, ValueError, TypeError, YAMLError, RecursionError) as error:
        raise ConfigError(f"{file} cannot be read as an OpenAPI document: {_line(error)[:_SENTENCE]}; give one in JSON "
                          "or YAML") from None


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{where} is to be an object, and is {str(value)[:60]!r}; mend the document")
    return value


def _list(value: Any, where: str, *, one: bool = False) -> list[Any]:
    if not isinstance(value, list) and not one:
        raise ConfigError(f"the parameters of {where} are to be a list, and are {str(value)[:60]!r}; mend the document")
    return value if isinstance(value, list) else [value]


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _line(text: Any) -> str:
    return " ".join(str(text).split())
