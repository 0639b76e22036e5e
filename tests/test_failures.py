"""Why episodes went wrong: each wrong one is of exactly one kind, and a right one of none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fireact.episode import NO_TOOL
from fireact.failures import FAILURES, failure, hops, seen
from fireact.plan import Hop, Plan
from fireact.types import Completion, Question, Score, Step, StopReason, Trajectory

QUESTION = Question("q", "Who?", ("Marie Curie", "Curie"), "bridge", gold=("p1", "p2"))
ASK = Step("ask", "Thought: hm", form="react", completion=Completion("x"))
REFUSED = Step("refuse", 'no "Action: name[argument]" in the reply')
NO_SUCH = Step("refuse", f"{NO_TOOL} 'lookup'; use one of search[...], finish[...]")


def search(argument: str, *ids: str, text: str = "seen") -> Step:
    return Step("act", text, tool="search", argument=argument, ids=ids)


def record(*steps: Step, answer: str | None = "Ada Lovelace", stop: StopReason = StopReason.FINISHED, em: float = 0.0,
           question: Question = QUESTION) -> Trajectory:
    return Trajectory("q", question, "react", steps, answer, stop, Score(em, em))


@pytest.mark.parametrize(("kind", "made"), [
    ("format", record(ASK, REFUSED, ASK, REFUSED, ASK, REFUSED, answer=None, stop=StopReason.FORMAT)),
    ("format", record(ASK, REFUSED, ASK, REFUSED, ASK, search("a"), answer=None, stop=StopReason.ROUNDS)),
    ("wrong_tool", record(ASK, NO_SUCH, ASK, NO_SUCH, ASK, NO_SUCH, answer=None, stop=StopReason.FORMAT)),
    ("wrong_tool", record(ASK, NO_SUCH, ASK)),
    ("wrong_tool", record(ASK, NO_SUCH, ASK, search("a", "p1"), ASK)),
    ("reasoning", record(ASK, NO_SUCH, ASK, search("a", "p1", "p2"), ASK)),
    ("loop", record(ASK, search("a"), ASK, search("A"), ASK, search("a."), answer=None, stop=StopReason.ROUNDS)),
    ("no_finish", record(ASK, search("a"), ASK, search("b"), answer=None, stop=StopReason.ROUNDS)),
    ("no_finish", record(ASK, answer=None, stop=StopReason.TOKENS)),
    ("no_search", record(ASK)),
    ("retrieval", record(ASK, search("a", "p1", "p9"), ASK)),
    ("reasoning", record(ASK, search("a", "p1"), ASK, search("b", "p2", "p9"), ASK)),
    (None, record(ASK, search("a", "p1"), ASK, em=1.0)),
    (None, record(ASK, answer=None, stop=StopReason.MODEL)),
])
def test_the_kind_of_a_failure(kind: str | None, made: Trajectory) -> None:
    assert failure(made) == kind


def test_without_known_sources_an_answer_that_was_shown_counts_as_seen() -> None:
    """A web search tells no passage ids, and some datasets name no gold passages."""
    without_gold = Question("q", "Who?", ("Marie Curie", "Curie"))
    assert failure(record(ASK, search("a", text="It was Curie, who"), ASK)) == "reasoning"
    assert failure(record(ASK, search("a", text="nothing of it"), ASK)) == "retrieval"
    assert seen(record(ASK, search("a", "p1", text="Curies"), ASK, question=without_gold)) is False
    assert seen(record(ASK)) is None


def test_hops_are_those_of_the_plan_or_the_gold_passages() -> None:
    hop = Hop("", "", "", "")
    assert hops(QUESTION) == 2
    assert hops(Question("q", "Who?", ("x",), plan=Plan((hop, hop, hop)))) == 3
    assert hops(Question("q", "Who?", ("x",))) is None


STEPS = [ASK, REFUSED, NO_SUCH, search("a", "p1"), search("b", "p2"), search("c")]


@given(st.lists(st.sampled_from(STEPS), max_size=8), st.sampled_from(StopReason), st.booleans(),
       st.sampled_from([0.0, 1.0]))
def test_every_wrong_episode_that_was_played_has_one_kind(made: list[Step], stop: StopReason, answered: bool,
                                                          em: float) -> None:
    kind = failure(record(*made, answer="x" if answered else None, stop=stop, em=em))
    assert (kind in FAILURES) == (em < 1 and stop.played)
