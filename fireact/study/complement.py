"""What conditions are worth together: a choice of the best one for each question, and of one at random."""

from collections.abc import Sequence

import numpy as np

from fireact.study.leaderboard import leaderboard
from fireact.study.outcomes import estimated, mean_by_question
from fireact.study.types import Complement, Leader, Study

MOST = 8
"""Conditions that are taken together, the best ones. An oracle over many finds a lucky one for every question."""


def complements(study: Study, leaders: Sequence[Leader] | None = None) -> list[Complement]:
    """Return one for each dataset with two conditions or more, of the sound tool, on the questions that all have.

    A condition got a question right where most of its seeds did. As in the paper's Table 4, the oracle takes the best
    condition for each question, knowing the answer; random is the mean over the conditions. `leaders`: the study's
    leaderboard, where it is known already.
    """
    leaders = leaderboard(study) if leaders is None else leaders
    found = []
    for dataset in dict.fromkeys(leader.condition.dataset for leader in leaders):
        best = [leader.condition for leader in leaders
                if leader.condition.dataset == dataset and not leader.condition.fault][:MOST]
        if len(best) < 2:
            continue
        values = np.stack([mean_by_question(study, condition.series) for condition in best])
        shared = np.flatnonzero(~np.isnan(values).any(axis=0))
        if len(shared):
            found.append(_complement(study, dataset, [condition.label for condition in best], values, shared))
    return found


def _complement(study: Study, dataset: str, labels: Sequence[str], values: np.ndarray,
                shared: np.ndarray) -> Complement:
    values = values[:, shared]
    right = values > 0.5
    alone = right & (right.sum(axis=0) == 1)
    only = {label: [study.questions[dataset][shared[place]].id for place in np.flatnonzero(mine)]
            for label, mine in zip(labels, alone, strict=True)}
    return Complement(dataset, labels, estimated(values.max(axis=0)), estimated(values.mean(axis=0)), only)
