"""Several tools as one: a search, a lookup and a calculator, and whatever else a model is to choose among.

    python main.py tool=toolbox
    python main.py tool=toolbox tool.tools.search.k=3 '~tool@tool.tools.lookup'
    python main.py tool=toolbox '+tool@tool.tools.weather=openapi' tool.tools.weather.document=weather.yaml ...
"""

from dataclasses import dataclass
from functools import cached_property

from fireact.errors import ConfigError
from fireact.protocols import Tool, specs
from fireact.requests import Act
from fireact.toolspec import ToolSpec
from fireact.types import Observation


@dataclass(kw_only=True)
class Toolbox:
    """Tools by any names. What a model calls are their actions; the first one's comes first."""

    tools: dict[str, Tool]

    def __post_init__(self) -> None:
        """Refuse a box without tools. Raises ConfigError."""
        if not self.tools:
            raise ConfigError("the toolbox is empty; add a tool, e.g. +tool@tool.tools.search=corpus")

    @property
    def actions(self) -> tuple[str, ...]:
        """Those of all tools. Raises ConfigError where two have the same."""
        return tuple(self._by_action)

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        """Those of all tools."""
        return tuple(spec for tool in self.tools.values() for spec in specs(tool))

    @property
    def stateless(self) -> tuple[str, ...]:
        """The actions that are answered alike in every episode."""
        return tuple(action for tool in self.tools.values() for action in getattr(tool, "stateless", ()))

    @cached_property
    def _by_action(self) -> dict[str, Tool]:
        owners: dict[str, str] = {}
        for name, tool in self.tools.items():
            for action in tool.actions:
                if action in owners:
                    raise ConfigError(f"the tools {owners[action]!r} and {name!r} of the toolbox both have the action "
                                      f"{action!r}; take one out, e.g. '~tool@tool.tools.{name}'")
                owners[action] = name
        return {action: self.tools[name] for action, name in owners.items()}

    async def __call__(self, act: Act) -> Observation:
        """Call the tool whose action it is. Raises what that raises."""
        return await self._by_action[act.tool](act)
