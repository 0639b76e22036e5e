"""Send a folder to the Hugging Face hub; what is there already is brought up to date."""

import os
import re
from pathlib import Path

from fireact.errors import ConfigError, ProviderError, first_line
from fireact.keys import hidden

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def check(repo: str) -> str:
    """Return the token to push with. Raises ConfigError where there is none, and for a name that no repository has."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repo)
        fits = _NAME.fullmatch(repo) is not None
    except HFValidationError:
        fits = False
    if not fits:
        raise ConfigError(f"publish.repo={repo!r} is no name of a repository; write e.g. publish.repo=my-name/my-model")
    token = os.environ.get("HF_TOKEN", "").strip()
    if not token:
        raise ConfigError(f"publish.repo={repo} needs HF_TOKEN in the environment; make a token that may write on "
                          "https://huggingface.co/settings/tokens, or leave publish.repo empty")
    return token


def push(folder: Path, repo: str, *, private: bool, message: str) -> str:
    """Make the repository where it is missing, upload all files of `folder`, and return its address.

    Raises ConfigError where the token may not write there, ProviderError where the hub does not answer.
    """
    import httpx2
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError
    from huggingface_hub.utils import disable_progress_bars

    token = check(repo)
    disable_progress_bars()
    api = HfApi(os.environ.get("HF_ENDPOINT") or None, token=token)
    try:
        url = api.create_repo(repo, private=private, exist_ok=True)
        api.upload_folder(repo_id=repo, folder_path=folder, commit_message=message)
    except HfHubHTTPError as error:
        reason = hidden(first_line(error), token)
        if isinstance(error, RepositoryNotFoundError) or error.response.status_code in (401, 403):
            raise ConfigError(f"HF_TOKEN has no right to write {repo} on {api.endpoint} ({reason}); take a token that "
                              "may, or another publish.repo") from None
        raise ProviderError(f"{api.endpoint} does not take {repo} ({reason}); start the same command again "
                            "later") from None
    except (httpx2.HTTPError, OSError) as error:
        raise ProviderError(f"the hub {api.endpoint} is out of reach ({hidden(first_line(error), token)}); go online "
                            "and start the same command again, finished work is kept") from None
    except ValueError as error:
        # What the hub finds wrong with a card's YAML, a line for each fault.
        raise ConfigError(f"the hub does not take the card: {hidden(' '.join(str(error).split()), token)}; mend "
                          "publish.licence") from None
    return str(url)
