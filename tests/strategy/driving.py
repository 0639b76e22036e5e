"""Driving a strategy by hand."""

from typing import Any

import pytest

from fireact.requests import Play


def finish(play: Play, reply: Any) -> str | None:
    """Send the last reply, and return the answer."""
    with pytest.raises(StopIteration) as stop:
        play.send(reply)
    return stop.value.value
