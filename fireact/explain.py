"""Say in one sentence what is wrong with a command line: Hydra's messages, shortened, with the nearest valid name."""

import re
import traceback
from collections.abc import Callable
from pathlib import Path

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
_KEY = re.compile(r"Could not (?:override|append to config|delete from config)[. :]*.*?'(?P<key>[\w.@/+~-]+)'")


def compose(job: Callable[[], None]) -> None:
    """Run a Hydra job. Raises ConfigError in place of Hydra's and OmegaConf's exceptions."""
    try:
        job()
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(explain(str(error))) from None
    except ValueError as error:
        if not _raised_by_hydra(error):
            raise
        raise ConfigError(f"Hydra cannot read these options: {error}") from None


def _raised_by_hydra(error: ValueError) -> bool:
    """Whether it was Hydra that raised, and not something that a job does."""
    frames = list(traceback.walk_tb(error.__traceback__))
    return frames[-1][0].f_globals.get("__name__", "").startswith("hydra.")


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
    if key:
        return f"{key['key']} is not an option{suggest(key['key'], known_keys())}"
    lines = [line.strip() for line in message.splitlines() if line.strip() and not line.startswith("See https://")]
    return "; ".join(lines[:2]).replace("mismatched input", "unexpected input")


def known_keys() -> list[str]:
    """Return all keys of the default configuration, written with dots, and the names of its groups."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        values = {str(key): value for key, value in hydra_compose("config").items()}
    nested = {key: OmegaConf.to_container(value) for key, value in values.items() if OmegaConf.is_config(value)}
    return [*(key.replace("/", ".") for key in flatten(nested)), *values, "model@teacher", "experiment"]
