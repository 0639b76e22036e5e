"""Say in one sentence what is wrong with a command line: Hydra's messages, shortened, with the nearest valid name."""

import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fireact.errors import ConfigError, first_line, suggest
from fireact.tracking import flatten

CONF = Path(__file__).parent.parent / "conf"
_OPTION = re.compile(r"Could not find '(?P<group>[^']*?)/(?P<option>[^'/]*)'")
_AVAILABLE = re.compile(r"Available options in '[^']*':\n(?P<options>(?:\t\S+\n?)*)")
_NEW = re.compile(r"Key '[^']*' is not in struct\s+full_key: (?P<key>\S+)")
_ENDED = {"UncompletedJobError", "FailedJobError", "TerminatedWorkerError"}
"""What submitit and joblib raise for a process of theirs that left no result."""
_LAUNCHER = re.compile(r"'(?:hydra/launcher/|hydra_plugins\.hydra_)(?P<name>joblib|submitit|ray)")
"""A launcher of a package that Hydra has not found."""
_RAISED = "ConfigError raised while resolving interpolation: "
_KEY = re.compile(r"Could not (?:override|append to config|delete from config)[. :]*.*?'(?P<key>[\w.@/+~-]+)'")


def compose(job: Callable[[], None]) -> None:
    """Run a Hydra job. Raises ConfigError in place of Hydra's and OmegaConf's exceptions."""
    try:
        job()
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(explain(f"{error}\n{error.__cause__ or ''}")) from None
    except OSError as error:
        # Hydra makes a run's folder itself.
        if error.filename is None or any(name.startswith("fireact") for name in _modules(error)[1:]):
            raise
        raise ConfigError(f"{error.filename} cannot be made ({error.strerror}); choose another folder with "
                          "hydra.run.dir=... or hydra.sweep.dir=...") from None
    except (ValueError, RuntimeError) as error:
        modules = _modules(error)
        # Not what a job does, which has frames of its own above Hydra's.
        if modules[-1].startswith("hydra."):
            text = str(error)
            raise ConfigError(explain(text) if _LAUNCHER.search(text) else f"Hydra cannot read these options: {text}"
                              ) from None
        if type(error).__name__ in _ENDED:
            raise ConfigError(f"a cell's process was ended before the cell was done ({first_line(error)}); start the "
                              "same command again, which goes on with what is missing") from None
        if any(name.startswith("hydra_plugins.") for name in modules) and "fireact.launch" not in modules:
            raise ConfigError(f"hydra/launcher cannot be used here: {error}; choose another one, e.g. "
                              "hydra/launcher=joblib") from None
        raise


def _modules(error: Exception) -> list[str]:
    """Where an error came through, from here to where it was raised."""
    return [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]


def explain(message: str) -> str:
    """Turn a message of Hydra or OmegaConf into one sentence."""
    launcher, option = _LAUNCHER.search(message), _OPTION.search(message)
    if launcher:
        package = f"hydra-{launcher['name']}-launcher"
        install = package if launcher["name"] == "ray" else "-e '.[workers]'"
        return f"this hydra/launcher needs {package}, which is not installed; run: pip install {install}"
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
    if key:
        config = _chosen()
        # An empty section has no keys of its own, and can be given some.
        if new and OmegaConf.select(config, new["key"].rpartition(".")[0]) == {}:
            return f"{new['key']} is not there yet; write +{key['key']}=... to add it"
        return _no_option(key["key"], config)
    lines = [line.strip() for line in message.splitlines() if line.strip() and not line.startswith("See https://")]
    return "; ".join(lines[:2]).removeprefix(_RAISED).replace("mismatched input", "unexpected input")


def _no_option(key: str, config: DictConfig) -> str:
    section, _, name = key.rpartition(".")
    own = OmegaConf.select(config, section) if section else None
    if isinstance(own, DictConfig) and "_target_" in own:
        if name in own:
            return f"{key} is an option of some of these choices of {section} only; give it to these alone"
        near = suggest(name, [str(each) for each in own if each != "_target_"])
        if near.startswith(" (known"):
            return f"{key} is not an option of this {section}{near}"
    return f"{key} is not an option{suggest(key, known_keys(config))}"


def _chosen() -> DictConfig:
    """Compose what is chosen on the command line, such as model@teacher=api, as far as that is right."""
    chosen = [given for given in sys.argv[1:] if (CONF / re.split("[@=]", given)[0]).is_dir() and "=" in given]
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        try:
            return hydra_compose("config", overrides=chosen)
        except HydraException:
            return hydra_compose("config")


def known_keys(config: DictConfig) -> list[str]:
    """Return all keys of a configuration, written with dots, and the names of its groups."""
    values = {str(key): value for key, value in config.items()}
    nested = {key: OmegaConf.to_container(value) for key, value in values.items() if OmegaConf.is_config(value)}
    # What is empty is no key of a flat configuration.
    own = [f"{key}.{name}" for key, value in nested.items() if isinstance(value, dict) for name in value]
    return [*(key.replace("/", ".") for key in flatten(nested)), *own, *values, "model@teacher", "experiment"]
