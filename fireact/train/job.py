"""A training as a job of the store."""

from pathlib import Path

from fireact.generate import PlayJob
from fireact.plugins import Node
from fireact.sections import Section
from fireact.store import identity, key

VERSION = 2


class TrainJob(Section):
    """What is trained on what. A hosted training takes the curated trajectories, a local one their tokens."""

    curated: Path
    curated_key: str
    tokens: Path | None = None
    tokens_key: str | None = None
    model: Node
    train: Node
    seed: int
    home: Path
    judge: PlayJob | None = None
    """Episodes by which the best weights are told, for train.judge=episodes."""

    def key(self) -> str:
        """The store key of the folder that holds the adapter."""
        judged = {"judge": (self.judge.key(), self.judge.n)} if self.judge else {}
        return key(stage="train", version=VERSION, **judged, data=self.tokens_key or self.curated_key,
                   model=identity(self.model, replies=False), train=identity(self.train), seed=self.seed)
