"""The order of the stages: which ones a stage goes on from."""

from fireact.schema import STAGES, Config


def upstream(stage: str, config: Config) -> list[str]:
    """Return the stages whose results `stage` goes on from, first to last."""
    given = config.inputs
    if stage == "generate":
        return []
    if (stage == "curate" and given.trajectories) or (stage in ("tokenize", "train") and given.curated):
        return []
    if (stage == "evaluate" and not config.evaluate.finetuned) or (
            stage in ("evaluate", "publish") and given.adapter):
        return []
    before = {"export": "curate", "tokenize": "curate", "publish": "train"}.get(stage)
    before = before or STAGES[STAGES.index(stage) - 1]
    return [*upstream(before, config), before]
