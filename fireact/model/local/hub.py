"""Weights from the Hugging Face hub, with HF_TOKEN for gated models."""

import os
from pathlib import Path

from fireact.errors import ConfigError, ProviderError, first_line

_FILES = ["*.json", "*.jinja", "*.txt", "tokenizer.model"]


def fetch(name: str) -> Path:
    """Return the folder of a model of the hub, downloaded where it is not on this disk.

    Raises ConfigError for one that is gated, private or not there, ProviderError for a hub out of reach.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    token = os.environ.get("HF_TOKEN") or None
    try:
        folder = Path(snapshot_download(name, allow_patterns=[*_FILES, "*.safetensors"], token=token))
        if not any(folder.glob("*.safetensors")):
            folder = Path(snapshot_download(name, allow_patterns=[*_FILES, "pytorch_model*.bin"], token=token))
    except GatedRepoError:
        raise ConfigError(f"the model {name} is gated; accept its licence on {HfApi().endpoint}/{name} and set "
                          "HF_TOKEN to a token of that account") from None
    except (RepositoryNotFoundError, HFValidationError):
        raise ConfigError(f"the hub has no model {name!r}, or it is private; check model.source, "
                          "or set HF_TOKEN") from None
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise ProviderError(f"the model {name} is not on this disk and the hub is out of reach ({first_line(error)}); "
                            "go online, or set model.source to a folder with the weights") from None
    return folder
