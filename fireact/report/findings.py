"""What a study tells, computed once for the whole page."""

from collections.abc import Sequence
from dataclasses import dataclass

from fireact.study.complement import complements
from fireact.study.contrasts import planned
from fireact.study.curves import learning_curves
from fireact.study.grid import grids
from fireact.study.leaderboard import leaderboard
from fireact.study.training import training_curves
from fireact.study.types import Complement, Grid, Leader, LearningCurve, Planned, Study, TrainingCurve


@dataclass(frozen=True)
class Findings:
    """The parts of a page that are computed from a study's episodes."""

    leaders: Sequence[Leader] = ()
    planned: Sequence[Planned] = ()
    grids: Sequence[Grid] = ()
    learning: Sequence[LearningCurve] = ()
    complements: Sequence[Complement] = ()
    training: Sequence[TrainingCurve] = ()


def find(study: Study) -> Findings:
    """Compute all of them."""
    leaders = leaderboard(study)
    return Findings(leaders, planned(study), grids(study), learning_curves(study), complements(study, leaders),
                    training_curves(study))
