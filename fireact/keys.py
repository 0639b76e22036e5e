"""Keys of paid services: named by their environment variables, and kept out of every text."""

import re
from typing import Annotated
from urllib.parse import quote

from pydantic import AfterValidator

from fireact.errors import ConfigError

SECRET = 8
"""A shorter key is no secret, and cutting it out of a text would tear up words."""


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
