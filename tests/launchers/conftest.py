"""GPUs that no other test and no other sweep knows of: locks are by name, and nothing here asks for a driver."""

import platform
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from fireact.slots import VISIBLE


@pytest.fixture
def devices(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names of three visible GPUs."""
    prefix = f"test-{secrets.token_hex(4)}"
    names = [f"{prefix}-{number}" for number in range(3)]
    monkeypatch.setenv(VISIBLE, ",".join(names))
    yield names
    for file in Path(f"/tmp/fireact-gpus-{platform.node()}").glob(f"{prefix}*"):
        file.unlink()
