"""What concurrent calls are worth: seconds a question with a tool that takes 300 ms, by ReAct and by one program.

    python -m bench.frameworks

The scripted expert replies at once, so that nothing but the tool takes time. Comparisons have searches that do not need
each other; in a bridge each needs the one before it.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import write
from fireact.dataset.factbook import Factbook
from fireact.episode import Player
from fireact.model.oracle import Oracle
from fireact.protocols import Tool
from fireact.requests import Act
from fireact.strategy.program import Program
from fireact.strategy.react import React
from fireact.tool.corpus import Corpus
from fireact.types import Observation, Question

QUESTIONS = 20
"""Of each kind."""


@dataclass
class Slow:
    """A tool that takes its time."""

    tool: Tool
    seconds: float

    @property
    def actions(self) -> tuple[str, ...]:
        """The tool's."""
        return self.tool.actions

    async def __call__(self, act: Act) -> Observation:
        """Wait, then call the tool."""
        await asyncio.sleep(self.seconds)
        return await self.tool(act)


async def _seconds(player: Player, questions: list[Question]) -> tuple[float, float, float]:
    """Seconds, replies and searches a question; medians. One question at a time."""
    taken, replies, searches = [], [], []
    for question in questions:
        started = time.perf_counter()
        record = await player.play(question)
        taken.append(time.perf_counter() - started)
        assert record.score.em == 1, record.answer
        replies.append(record.rounds)
        searches.append(record.tool_calls)
    return statistics.median(taken), statistics.median(replies), statistics.median(searches)


def main() -> None:
    """Measure both strategies on the same questions."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="a JSON file for the figures")
    parser.add_argument("--milliseconds", type=int, default=300, help="how long a search takes")
    options = parser.parse_args()
    found: dict[str, Any] = {"search_seconds": options.milliseconds / 1000}
    with tempfile.TemporaryDirectory() as folder:
        dataset = Factbook(home=Path(folder))
        corpus = Corpus(corpus=dataset.corpus(), home=Path(folder))
        slow = Slow(corpus, options.milliseconds / 1000)
        oracle = Oracle(tool=corpus, mistakes=0, lost=0)
        questions = dataset.questions("validation")
        asyncio.run(corpus(Act("search", "warm up")))
        for kind in ("comparison", "bridge"):
            asked = [question for question in questions if question.kind == kind][:QUESTIONS]
            for name, strategy in {"react": React(prompt="factbook"), "program": Program(prompt="factbook")}.items():
                player = Player(method=name, task="factbook", strategy=strategy, few_shot=True, model=oracle, tool=slow,
                                dataset=dataset)
                seconds, replies, searches = asyncio.run(_seconds(player, asked))
                found[f"{kind}_{name}"] = {"seconds": round(seconds, 3), "replies": replies, "searches": searches}
            found[f"{kind}_ratio"] = round(found[f"{kind}_program"]["seconds"] / found[f"{kind}_react"]["seconds"], 2)
    write(found, options.out)


if __name__ == "__main__":
    main()
