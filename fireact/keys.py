"""Keys of paid services: named by their environment variables, and kept out of every text."""

import os
import re
from collections.abc import Mapping
from typing import Annotated
from urllib.parse import quote

from pydantic import AfterValidator

from fireact.errors import ConfigError

SECRET = 8
"""A shorter key is no secret, and cutting it out of a text would tear up words."""
_SECRET = re.compile(r"auth|key|token|secret|cookie", re.IGNORECASE)
_SECRETIVE = re.compile(r"^(Bearer|Basic)\s|\b(sk|pk|key|hf|gsk)[-_]|^[\w+/=-]{32,}$", re.IGNORECASE)
"""What a value looks like that is one."""


def _key_variable(name: str) -> str:
    # No ValueError: pydantic would have the sentence repeat the value, which may be the key itself.
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise ConfigError("key_env is no name of an environment variable; put the key into a variable and write its "
                          "name here, e.g. MY_API_KEY, not the key")
    return name


KeyVariable = Annotated[str, AfterValidator(_key_variable)]
"""The type of an option that names the environment variable of a key."""


def hidden(text: str, key: str) -> str:
    """The text without the key, which some servers repeat; a key of a few letters is no secret (see `SECRET`)."""
    if len(key) < SECRET:
        return text
    return text.replace(key, "***").replace(quote(key, safe=""), "***")


# No ValueError here either.
def no_secrets(given: dict[str, str]) -> dict[str, str]:
    """Check headers, or what is sent behind an address. Raises ConfigError."""
    for name, value in given.items():
        if not value.startswith("$") and (_SECRET.search(name) or _SECRETIVE.search(value)):
            raise ConfigError(f"{name} holds a secret, which would be saved with the configuration; put it into an "
                              f"environment variable and write its name, e.g. {{{name}: $MY_KEY}}")
    return given


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
