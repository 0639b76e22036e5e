"""Made-up records of episodes."""

from typing import Any

from fireact.types import Completion, Question, Score, Step, StopReason, Trajectory


def record(id: str = "q0", attempt: int = 0, em: float = 1.0, stop: StopReason = StopReason.FINISHED,
           **rest: Any) -> Trajectory:
    """One record of a short episode."""
    steps = (Step("ask", "Thought: I know.\nAction: finish[Paris]", form="react", completion=Completion("...")),)
    return Trajectory(**{"id": id, "question": Question(id, f"Question {id}?", ("Paris",)), "method": "react",
                         "steps": steps, "answer": "Paris" if em == 1 else "Rome", "stop": stop, "score": Score(em, em),
                         "provenance": {"model": "made-up"}, "dataset": "test", "attempt": attempt, **rest})
