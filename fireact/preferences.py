"""Preferences: of the trajectories of one question, a good one and a bad one, for a student to prefer the first.

The pairs of ETO (Song et al. 2024, arXiv 2403.02502, §3.2): what an expert, or the student itself, did rightly, and
what failed on the same question.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from hashlib import sha256
from math import lcm

from fireact.errors import DataError
from fireact.examples import conversation, wording
from fireact.types import StopReason, Trajectory

SIDES = ("chosen", "rejected")
_BAD_STOPS = (StopReason.FINISHED, StopReason.ROUNDS, StopReason.CALLS, StopReason.TOKENS,
              StopReason.CONTEXT)
"""How a bad trajectory may have ended: the model answered, or ran out of something. What was the clock's fault, or
the provider's, and replies that could not be read, teach nothing about the question."""
Asked = tuple[str, str]
"""A question by its dataset's name and its id."""
Cell = tuple[str, str]
"""A dataset's name and a method."""


@dataclass(frozen=True)
class Preference:
    """Two trajectories of the same question by the same method."""

    chosen: Trajectory
    rejected: Trajectory
    number: int = 0
    """Which pair of its question and method it is, counted from 0."""

    @property
    def id(self) -> str:
        """dataset/method/question, and the number where it is not the first."""
        number = f"pair{self.number}" if self.number else ""
        return "/".join(part for part in (self.chosen.dataset, self.chosen.method, self.chosen.id, number) if part)

    @property
    def question(self) -> Asked:
        """What it is about."""
        return self.chosen.dataset, self.chosen.id


@dataclass(frozen=True)
class Pairing:
    """The pairs of one method on one dataset, and the questions that have none."""

    pairs: list[Preference]
    questions: dict[str, int]
    """How many questions have good and bad trajectories (`both`), `only_good` ones, `only_bad` ones, or `neither`."""


def pair_up(records: Sequence[Trajectory], good: Callable[[Trajectory], bool], most: int, seed: int) -> Pairing:
    """Pair the good trajectories of each question with its bad ones, at most `most` pairs a question.

    Questions stay in the order of `records`; the trajectories of one are dealt in a seeded order, each as seldom as can
    be. Fewer pairs a question are part of more.
    """
    pairs: list[Preference] = []
    found: Counter[str] = Counter(both=0, only_good=0, only_bad=0, neither=0)
    by_question: dict[Asked, dict[str, Trajectory]] = {}
    for record in records:
        by_question.setdefault((record.dataset, record.id), {})[wording(record)] = record
    for group in by_question.values():
        attempts = sorted(group.values(), key=lambda record: _order(seed, record))
        right = [record for record in attempts if record.score.em == 1 and good(record)]
        wrong = [record for record in attempts if _bad(record)]
        found["both" if right and wrong else "only_good" if right else "only_bad" if wrong else "neither"] += 1
        pairs += [Preference(right[i], wrong[j], number)
                  for number, (i, j) in enumerate(_dealt(len(right), len(wrong), most))]
    return Pairing(pairs, dict(found))


Halves = tuple[list[Preference], list[Preference]]
"""Pairs to train on, and pairs for validation."""


def divide(pairings: Mapping[Cell, Pairing], validation: Mapping[Cell, int], held: Set[Asked]) -> dict[Cell, Halves]:
    """Hold out the pairs of `validation` questions of each cell, never of more than half, those `held` already first.

    A question that is held out anywhere is trained on nowhere. Raises DataError where no pair is left to train on.
    """
    unseen = set(held)
    for cell, pairing in pairings.items():
        asked = sorted(dict.fromkeys(pair.question for pair in pairing.pairs), key=lambda one: one not in held)
        unseen.update(asked[: min(validation[cell], len(asked) // 2)])
    divided = {cell: ([pair for pair in pairing.pairs if pair.question not in unseen],
                      [pair for pair in pairing.pairs if pair.question in unseen])
               for cell, pairing in pairings.items()}
    if not any(halves[0] for halves in divided.values()):
        raise DataError(_none_left(pairings))
    return divided


def _none_left(pairings: Mapping[Cell, Pairing]) -> str:
    counts: Counter[str] = Counter()
    for pairing in pairings.values():
        counts.update(pairing.questions)
    if counts["both"]:
        return (f"all {counts['both']} questions with both a good and a bad trajectory are held out for validation, so "
                "there are no pairs to train on; lower curate.validation, or play more questions")
    return (f"no question has both a good and a bad trajectory, so there are no pairs to train on: of "
            f"{sum(counts.values())} questions {counts['only_good']} have only good ones (right, and past "
            f"curate.filters), {counts['only_bad']} only wrong ones, {counts['neither']} neither; play each question "
            "several times (generate.attempts=4 teacher.temperature=0.7), or add another player's episodes to "
            "inputs.trajectories")


def _order(seed: int, record: Trajectory) -> bytes:
    return sha256(f"{seed}:{record.id}:{wording(record)}".encode("utf-8", "replace")).digest()


def _bad(record: Trajectory) -> bool:
    return record.score.em != 1 and record.stop in _BAD_STOPS and bool(conversation(record)[1])


def _dealt(rows: int, columns: int, most: int) -> Iterator[tuple[int, int]]:
    """The first `most` cells of a table, each once: along its diagonal, shifted by one whenever that comes round."""
    for number in range(min(most, rows * columns)):
        yield number % rows, (number + number // lcm(rows, columns)) % columns
