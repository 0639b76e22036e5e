"""What several tests share."""

from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from fireact.schema import Config, typed

ROOT = Path(__file__).parent.parent


def composed(*overrides: str) -> Config:
    """Compose and check a configuration, as main.py does."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return typed(compose("config", overrides=list(overrides)))
