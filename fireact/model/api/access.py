"""What a user writes of an endpoint: addresses, headers and request fields, checked, and secrets by their variables."""

import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from fireact.errors import ConfigError
from fireact.web import is_address

_SECRET = re.compile(r"auth|key|token|secret|cookie", re.IGNORECASE)
_SECRETIVE = re.compile(r"^(Bearer|Basic)\s|\b(sk|pk|key|hf|gsk)[-_]|^[\w+/=-]{32,}$", re.IGNORECASE)
"""What a value looks like that is one."""
_OURS = {"model": "model", "max_tokens": "max_tokens", "max_completion_tokens": "max_tokens", "messages": None,
         "prompt": None, "stop": None, "stream": None, "n": None, "best_of": None, "seed": None,
         "temperature": "temperature", "reasoning_effort": "reasoning_effort"}
"""Fields of a request that are FireAct's to fill, with the option that sets them."""

# The validators raise no ValueError: pydantic would have the sentence repeat the value.


def no_secrets(given: dict[str, str]) -> dict[str, str]:
    """Check headers, or what is sent behind an address. Raises ConfigError."""
    for name, value in given.items():
        if not value.startswith("$") and (_SECRET.search(name) or _SECRETIVE.search(value)):
            raise ConfigError(f"{name} holds a secret, which would be saved with the configuration; put it into an "
                              f"environment variable and write its name, e.g. {{{name}: $MY_KEY}}")
    return given


def addresses(given: str | list[str] | None) -> str | list[str] | None:
    """Check that there is one, and no password in it. Raises ConfigError."""
    if given == []:
        raise ConfigError("base_url=[] names no endpoint; write one or more addresses, or null for OpenAI's own")
    for place in [given] if isinstance(given, str) else given or []:
        if "@" in place.partition("://")[2].partition("/")[0]:
            raise ConfigError("base_url holds a password, which would be saved with the configuration; leave out what "
                              "is before the @, and send it as headers: {Authorization: $MY_AUTHORIZATION}")
        if "?" in place:
            raise ConfigError("base_url has more behind its path; write it as the model's option query, secrets by "
                              "their variables, e.g. query: {api-version: 2025-04-01-preview, api_key: $MY_KEY}")
    return given


def free_fields(given: dict[str, Any]) -> dict[str, Any]:
    """Check that more fields of a request are none of ours. Raises ConfigError."""
    for name in given.keys() & _OURS.keys():
        way = f"set the model's option {_OURS[name]} instead" if _OURS[name] else "take it out"
        raise ConfigError(f"options holds {name}, which is filled in for every request; {way}")
    return given


def check(place: str) -> None:
    """Check that an address is one to which paths can be added. Raises ConfigError."""
    if not is_address(place):
        raise ConfigError(f"base_url={place} is no address; write e.g. http://127.0.0.1:8000/v1")
    parts = urlsplit(place)
    if parts.query or parts.fragment:
        raise ConfigError(f"base_url={place} has more behind its path; write it as the model's option query, e.g. "
                          "query: {api-version: 2025-04-01-preview}")
    if short := re.fullmatch(r"(.*?)/(chat/)?completions/?", place):
        raise ConfigError(f"base_url={place} is the address of a route; write the address of the API, {short[1]}")


def filled(given: Mapping[str, str]) -> dict[str, str]:
    """Return the values, read from the environment where they are written $NAME. Raises ConfigError."""
    found = {name: os.environ.get(value[1:], "").strip() if value.startswith("$") else value
             for name, value in given.items()}
    for name, value in found.items():
        if not value:
            raise ConfigError(f"{name} is to hold {given[name]}, and this environment variable is not set")
        if not (value.isascii() and value.isprintable()):
            raise ConfigError(f"what {name} is to hold has a line break or a letter that cannot be sent; set "
                              f"{given[name] if given[name].startswith('$') else 'it'} anew")
    return found


def secrets(*given: Mapping[str, str]) -> dict[str, str]:
    """Return what the environment variables hold that are named in the values, by their names."""
    named = [value[1:] for each in given for value in each.values() if value.startswith("$")]
    return {name: os.environ.get(name, "").strip() for name in named}
