"""Say in one sentence what is wrong with a command line: Hydra's messages, shortened, with the nearest valid name."""

import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fireact.errors import ConfigError, suggest
from fireact.tracking import flatten

CONF = Path(__file__).parent.parent / "conf"
_OPTION = re.compile(r"Could not find '(?P<group>[^']*?)/(?P<option>[^'/]*)'")
_AVAILABLE = re.compile(r"Available options in '[^']*':\n(?P<options>(?:\t\S+\n?)*)")
_NEW = re.compile(r"Key '[^']*' is not in struct\s+full_key: (?P<key>\S+)")
_KEY = re.compile(r"Could not (?:override|append to config|delete from config)[. :]*.*?'(?P<key>[\w.@/+~-]+)'")


def compose(job: Callable[[], None]) -> None:
    """Run a Hydra job. Raises ConfigError in place of Hydra's and OmegaConf's exceptions."""
    try:
        job()
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(explain(f"{error}\n{error.__cause__ or ''}")) from None
    except (ValueError, RuntimeError) as error:
        modules = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
        # Not what a job does, which has frames of its own above Hydra's.
        if modules[-1].startswith("hydra."):
            raise ConfigError(f"Hydra cannot read these options: {error}") from None
        if any(name.startswith("hydra_plugins.") for name in modules) and "fireact.launch" not in modules:
            raise ConfigError(f"hydra/launcher cannot be used here: {error}; choose another one, e.g. "
                              "hydra/launcher=joblib") from None
        raise


def explain(message: str) -> str:
    """Turn a message of Hydra or OmegaConf into one sentence."""
    option = _OPTION.search(message)
    if option:
        available = _AVAILABLE.search(message)
        names = [name for name in available["options"].split() if not name.startswith("_")] if available else []
        return f"{option['group']}={option['option']} does not exist{suggest(option['option'], names)}"
    key = _KEY.search(message)
    group = key and key["key"].partition("@")[0]
    if key and "@" in key["key"] and (CONF / str(group)).is_dir() and "override" in message:
        return f"nothing is selected for {key['key']} yet; write +{key['key']}=... to add it"
    if key and "already at" in message:
        return f"{key['key']} is there already; write it without the +"
    new = _NEW.search(message)
    known = known_keys() if key else {}
    if key and new and known.get(new["key"].rpartition(".")[0]) == {}:
        return f"{new['key']} is not there yet; write +{key['key']}=... to add it"
    if key:
        return f"{key['key']} is not an option{suggest(key['key'], known)}"
    lines = [line.strip() for line in message.splitlines() if line.strip() and not line.startswith("See https://")]
    return "; ".join(lines[:2]).replace("mismatched input", "unexpected input")


def known_keys() -> dict[str, Any]:
    """Return all keys of the configuration, written with dots, with their values, and the names of its groups.

    Of the command line the chosen options count, such as model@teacher=api, as far as they are right.
    """
    chosen = [given for given in sys.argv[1:] if (CONF / re.split("[@=]", given)[0]).is_dir() and "=" in given]
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        try:
            config = hydra_compose("config", overrides=chosen)
        except HydraException:
            config = hydra_compose("config")
    values = {str(key): OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
              for key, value in config.items()}
    # An empty section has no keys of its own, and can be given some.
    return {**{key.replace("/", "."): value for key, value in flatten(values).items()}, **_empty(values), **values,
            "model@teacher": None, "experiment": None}


def _empty(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found.update(_empty(value, f"{prefix}{name}.") if value else {f"{prefix}{name}": {}})
    return found
