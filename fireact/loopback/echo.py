"""A tool that takes no time, beside the endpoint that searches for nothing in particular."""

from dataclasses import dataclass
from typing import ClassVar

from fireact.requests import Act
from fireact.types import Observation


@dataclass(kw_only=True)
class Echo:
    """Says what was asked for."""

    actions: ClassVar[tuple[str, ...]] = ("search",)
    stateless: ClassVar[tuple[str, ...]] = ("search",)

    async def __call__(self, act: Act) -> Observation:
        """Answer at once."""
        return Observation(f"Nothing is known about {act.argument}.")
