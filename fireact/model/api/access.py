"""What a user writes of an endpoint: addresses and request fields, checked; for headers see fireact/keys.py."""

import re
from typing import Any
from urllib.parse import urlsplit

from fireact.errors import ConfigError
from fireact.web import is_address

_OURS = {"model": "model", "max_tokens": "max_tokens", "max_completion_tokens": "max_tokens", "messages": None,
         "prompt": None, "stop": None, "stream": None, "n": None, "best_of": None, "seed": None,
         "temperature": "temperature", "reasoning_effort": "reasoning_effort"}
"""Fields of a request that are FireAct's to fill, with the option that sets them."""

# The validators raise no ValueError: pydantic would have the sentence repeat the value.


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
