"""Schemas that others wrote as plain JSON Schemas: references looked up, the ways of OpenAPI 3.0 put into today's."""

import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from fireact.errors import ConfigError

MOST = 5_000
"""Values of a resolved part: references that fan out can make a small document as large as they like."""
DEEPEST = 100
"""Values within each other in a resolved part."""
_NO_SCHEMA = {"xml", "externalDocs", "discriminator", "deprecated", "readOnly", "writeOnly", "nullable"}
_BELOW = {"properties", "patternProperties", "$defs"}
"""Keys that hold schemas by their names."""


@dataclass
class Refs:
    """Where references lead to."""

    root: dict[str, Any]
    where: str
    looked_at: int = 0
    """Values so far."""

    def find(self, ref: str) -> Any:
        """What a local reference names. Raises ConfigError."""
        value: Any = self.root
        if not ref.startswith("#/"):
            raise ConfigError(f"{self.where} refers to {ref!r}, which is elsewhere; put it into the same document")
        for part in ref[2:].split("/"):
            name = unquote(part).replace("~1", "/").replace("~0", "~")
            value = value.get(name) if isinstance(value, dict) else None
        if value is None:
            raise ConfigError(f"{self.where} refers to {ref!r}, which is not there; mend it")
        return value

    def follow(self, value: Any) -> Any:
        """A value, or what it names where it is a reference itself; those within it stay. Raises ConfigError."""
        seen: set[str] = set()
        while isinstance(value, dict) and isinstance(ref := value.get("$ref"), str):
            if ref in seen:
                raise ConfigError(f"{self.where} refers to {ref!r}, which refers to itself; mend it")
            seen.add(ref)
            found, beside = self.find(ref), {name: part for name, part in value.items() if name != "$ref"}
            value = {**found, **beside} if isinstance(found, dict) else found
        return value


def resolved(value: Any, refs: Refs, within: tuple[str, ...] = (), depth: int = 0) -> Any:
    """A value with what its references name in their place. Raises ConfigError, for one that holds itself too."""
    refs.looked_at += 1
    if depth > DEEPEST:
        raise ConfigError(f"{refs.where} is nested more than {DEEPEST} levels deep; take it out of allow")
    if refs.looked_at > MOST:
        raise ConfigError(f"{refs.where} has references to more than {MOST} values; take it out of allow")
    if isinstance(value, list):
        return [resolved(part, refs, within, depth + 1) for part in value]
    if not isinstance(value, dict):
        return value
    ref = value.get("$ref")
    if isinstance(ref, str):
        if ref in within:
            raise ConfigError(f"{refs.where} refers to {ref!r}, which holds itself; take it out of allow")
        found = resolved(refs.find(ref), refs, (*within, ref), depth + 1)
        beside = {name: resolved(part, refs, within, depth + 1) for name, part in value.items() if name != "$ref"}
        return {**found, **beside} if isinstance(found, dict) else found
    return {name: resolved(part, refs, within, depth + 1) for name, part in value.items()}


def plain(schema: Any, version: str = "3.1") -> Any:
    """A resolved schema without what is OpenAPI's own; `version` is that of OpenAPI, where it is from there."""
    if isinstance(schema, list):
        return [plain(part, version) for part in schema]
    if not isinstance(schema, dict):
        return schema
    told = {name: {key: plain(part, version) for key, part in value.items()}
            if name in _BELOW and isinstance(value, dict)
            else value if name in ("example", "examples", "default", "enum", "const") else plain(value, version)
            for name, value in schema.items() if name not in _NO_SCHEMA and not name.startswith("x-")}
    if version.startswith("3.0"):
        for name, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
            if isinstance(told.get(name), bool) and told.pop(name) and bound in told:
                told[name] = told.pop(bound)
        if schema.get("nullable") and isinstance(told.get("type"), str):
            told["type"] = [told["type"], "null"]
    if not _is_pattern(told.get("pattern", "")):
        del told["pattern"]  # JavaScript has patterns that Python has not; the API itself will say what does not fit.
    return told


def check_schema(schema: dict[str, Any], where: str) -> None:
    """Refuse what is no JSON Schema. Raises ConfigError."""
    from jsonschema import Draft202012Validator, SchemaError

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        told = " ".join(error.message.split())[:200]
        raise ConfigError(f"a schema of {where} is broken: {told}; mend it, or take it out of allow") from None
    except RecursionError:
        raise ConfigError(f"a schema of {where} is nested too deep; take it out of allow") from None
    if '"$dynamicRef":' in json.dumps(schema):
        raise ConfigError(f"a schema of {where} has a $dynamicRef, which is not followed; take it out of allow")


def _is_pattern(pattern: Any) -> bool:
    try:
        re.compile(pattern)
    except (re.error, TypeError, OverflowError, RecursionError):
        return False
    return True
