"""The order of the stages: which ones a stage goes on from."""

from fireact.plugins import uses_library
from fireact.schema import STAGES, Config, mix


def upstream(stage: str, config: Config) -> list[str]:
    """Return the stages whose results `stage` goes on from, first to last."""
    given = config.inputs
    if stage == "generate":
        return []
    if (stage == "curate" and given.trajectories) or (stage in ("tokenize", "train") and given.curated):
        return []
    if (stage == "evaluate" and not config.evaluate.finetuned) or (
            stage in ("evaluate", "publish") and given.adapter):
        return [*upstream("curate", config), "curate"] if stage == "evaluate" and _needs_library(config) else []
    before = {"export": "curate", "tokenize": "curate", "publish": "train"}.get(stage)
    before = before or STAGES[STAGES.index(stage) - 1]
    return [*upstream(before, config), before]


def _needs_library(config: Config) -> bool:
    """Whether what is evaluated plays with the skills of what is curated here."""
    methods = mix(config.strategy)
    return not config.inputs.curated and uses_library(methods.parts[methods.play])
