"""A training, and what is made of it for others, as jobs of the store."""

from pathlib import Path

from fireact.generate import PlayJob
from fireact.plugins import Node, build
from fireact.sections import Section
from fireact.slots import wanted_by
from fireact.store import identity, key
from fireact.train import Train, ranks

VERSION, MERGE_VERSION = 2, 4


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

    @property
    def gpus(self) -> int:
        """How many GPUs of this machine it is trained on."""
        train = build(self.train, "train")
        return ranks.devices(train) if isinstance(train, Train) else wanted_by(train)


class MergeJob(Section):
    """Which trained student is made whole, see fireact/train/merge.py."""

    model: Node
    adapter: Path
    """Of a LoRA adapter, or of a whole model."""
    adapter_key: str
    dtype: str
    weights: bool
    """Whether the model is wanted, or only its tokenizer."""
    home: Path

    def key(self) -> str:
        """The store key of the folder that holds it."""
        whole = {"weights": True, "dtype": self.dtype} if self.weights else {}
        return key(stage="merged", version=MERGE_VERSION, model=identity(self.model, replies=False),
                   adapter=self.adapter_key, **whole)
