"""Plug-ins: a node names a class and its options, `build(node)` makes the object.

The fields of the class are the node's schema. Nothing is registered: `_target_` is the whole of it.
"""

from __future__ import annotations

import importlib
import re
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, TypeGuard, get_args, get_type_hints

from pydantic import TypeAdapter, ValidationError

from fireact.errors import ConfigError, suggest

_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z][a-z])")
"""Where a word begins in the name of a class: not within HotpotQA."""
Node = dict[str, Any]
"""One composed option of a config group: `_target_` and the arguments of its class."""


def check(node: Node, where: str) -> None:
    """Check a plug-in's node without building it. Raises ConfigError."""
    _arguments(node, where, {})


def build(node: Node, where: str = "", **context: Any) -> Any:
    """Build a plug-in from its node.

    `context` is what the run provides (folders, the dataset's corpus, ...): a plug-in is given what its fields name,
    unless its node says otherwise. Raises ConfigError.
    """
    cls, arguments = _arguments(node, where, context)
    return cls(**{name: _built(value, f"{where}.{name}", context) for name, value in arguments.items()})


def _built(value: Any, where: str, context: dict[str, Any]) -> Any:
    if is_node(value):
        return build(value, where, **context)
    if are_nodes(value):
        return {name: build(part, f"{where}.{name}", **context) for name, part in value.items()}
    return value


def is_node(value: Any) -> TypeGuard[Node]:
    """Whether a value is a plug-in's node, e.g. the tool that a wrapper wraps."""
    return isinstance(value, dict) and "_target_" in value


def are_nodes(value: Any) -> TypeGuard[dict[str, Node]]:
    """Whether a value is several plug-ins' nodes by their names, e.g. the tools of a toolbox."""
    return isinstance(value, dict) and not is_node(value) and any(map(is_node, value.values()))


def nested(node: Node) -> list[Node]:
    """The nodes directly below a node."""
    return [part for value in node.values()
            for part in ([value] if is_node(value) else value.values() if are_nodes(value) else [])]


def options(node: Node) -> set[str]:
    """The names of all options of a plug-in, and of those nested in it."""
    return own_options(node).union(*map(options, nested(node)))


def own_options(node: Node) -> set[str]:
    """The names of a plug-in's own options."""
    return {field.name for field in fields(target(node, ""))}


def _arguments(node: Node, where: str, context: dict[str, Any]) -> tuple[type, dict[str, Any]]:
    cls = target(node, where)
    known = {field.name: field for field in fields(cls) if field.init}
    arguments = {name: value for name, value in context.items() if name in known}
    for name, value in node.items():
        if name == "_target_":
            continue
        if name not in known:
            raise ConfigError(f"{where}.{name} is not an option of {cls.__name__}{suggest(name, known)}")
        if value is None and name in arguments:
            continue
        if is_node(value):
            check(value, f"{where}.{name}")
            arguments[name] = value
        elif _takes_plugins(cls, name):
            _check_each(value, f"{where}.{name}")
            arguments[name] = value
        else:
            arguments[name] = validated(cls, name, value, f"{where}.{name}")
    for name, field in known.items():
        required = field.default is MISSING and field.default_factory is MISSING
        if context and required and name not in arguments:
            raise ConfigError(f"{where}.{name} is missing; set it, e.g. {where}.{name}=...")
    return cls, arguments


@cache
def _takes_plugins(cls: type, name: str) -> bool:
    """Whether an option is typed by a protocol: it is a plug-in, or several by their names."""
    kind = hint(cls, name)
    return any(getattr(part, "_is_protocol", False) for part in (kind, *get_args(kind)))


def _check_each(parts: Any, where: str) -> None:
    """Check several plug-ins by their names. Raises ConfigError."""
    for name, part in parts.items() if isinstance(parts, dict) else [("", parts)]:
        place = f"{where}.{name}" if name else where
        if not is_node(part):
            raise ConfigError(f"{place}={part!r} is no plug-in; choose an option of conf/, e.g. tool@{place}=corpus")
        check(part, place)


def target(node: Node, where: str) -> type:
    """Import the class that a node names. Raises ConfigError."""
    path = node.get("_target_")
    if not isinstance(path, str) or "." not in path:
        raise ConfigError(f"{where} has no _target_ that names a class, got {path!r}; "
                          f"select an option of conf/{where}/ or set {where}._target_=package.module.Class")
    module_name, _, class_name = path.rpartition(".")
    try:
        cls = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{where}._target_={path} cannot be imported: {error}") from None
    if not (isinstance(cls, type) and is_dataclass(cls)):
        raise ConfigError(f"{where}._target_={path} is not a dataclass, which a plug-in must be")
    return cls


@cache
def _field_adapter(cls: type, name: str) -> TypeAdapter:
    return TypeAdapter(hint(cls, name))


def hint(cls: type, name: str) -> Any:
    """Return the type of a plug-in's option, with its annotations."""
    written = next(field.type for field in fields(cls) if field.name == name)
    return get_type_hints(cls, include_extras=True)[name] if isinstance(written, str) else written


def validated(cls: type, name: str, value: Any, where: str) -> Any:
    """Check one option of a plug-in against its type, and convert it. Raises ConfigError."""
    try:
        return _field_adapter(cls, name).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        for part in first["loc"]:  # Into the options of an option; of a choice of types, parts are their names.
            if isinstance(value, dict) and part in value:
                where, value = f"{where}.{part}", value[part]
        if first["type"] == "unexpected_keyword_argument":
            near = suggest(str(first["loc"][-1]), _options(cls, name))
            raise ConfigError(f"{where} is not an option{near}") from None
        raise ConfigError(f"{where}={value!r} does not fit: {expected(first)}") from None


def _options(cls: type, name: str) -> list[str]:
    """The names of the options that a plug-in's option has itself."""
    kind = hint(cls, name)
    return [field.name for part in (kind, *get_args(kind)) if is_dataclass(part) for field in fields(part)]


def plugin_name(node: Node) -> str:
    """How a plug-in is called where its node gives it no name: by its class, PlanExecute as plan_execute."""
    return _WORDS.sub("_", str(node.get("_target_", "")).rpartition(".")[2]).lower()


def uses_library(strategy: Node) -> bool:
    """Whether a strategy, which is no mix, plays with a library of skills. Raises ConfigError."""
    return getattr(target(strategy, "strategy"), "uses_library", False)


def expected(error: Any) -> str:
    """Say what pydantic expected, from one of its errors."""
    if error["type"] == "literal_error":
        names = [name.strip("'") for name in error["ctx"]["expected"].replace(" or ", ", ").split(", ")]
        return f"it must be one of {', '.join(names)}{_near(error['input'], names)}"
    message = error["msg"].removeprefix("Value error, ")
    return message[0].lower() + message[1:]


def _near(value: Any, names: list[str]) -> str:
    hint = suggest(str(value), names)
    return hint if "did you mean" in hint else ""
