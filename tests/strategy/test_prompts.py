"""The few-shot texts: read as turns, in the grammar, of the paper's number, and of questions that no benchmark has."""

import csv
import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from fireact.dataset.scoring import normalize
from fireact.errors import ConfigError
from fireact.strategy.grammar import OBSERVATION, parse_answer, parse_step
from fireact.strategy.prompts import preamble, value_preamble
from fireact.tool.wikipedia import Wikipedia
from fireact.types import Message
from tests.helpers import real_data

METHODS = ("direct", "cot", "react")
TASKS = ("hotpotqa", "strategyqa", "mmlu", "factbook")
SHOTS = {"hotpotqa": (6, 6, 4), "strategyqa": (4, 4, 4), "mmlu": (3, 3, 3), "factbook": (4, 4, 4),
         "wikipedia": (0, 0, 4)}
"""How many examples, by method: FireAct's own numbers, but for factbook."""
SEARCHES = {"hotpotqa": (2, 4), "strategyqa": (0, 3), "mmlu": (0, 3), "factbook": (2, 3)}
ANSWERS = {"strategyqa": r"yes|no", "mmlu": r"[A-D]", "hotpotqa": r"(\S+ ?){1,4}", "factbook": r"(\S+ ?){1,4}",
           "wikipedia": r"(\S+ ?){1,4}"}
PROMPTS = [*((method, task) for task in TASKS for method in METHODS), ("react", "wikipedia")]

each_prompt = pytest.mark.parametrize(("method", "task"), PROMPTS)


def examples(method: str, task: str) -> list[list[Message]]:
    """The turns of each example; an example begins with the one user's turn that is no observation."""
    found: list[list[Message]] = []
    for turn in preamble(method, task)[1:]:
        if turn.role == "user" and not turn.content.startswith(OBSERVATION):
            found.append([])
        found[-1].append(turn)
    return found


def answer(method: str, example: list[Message]) -> str:
    last = example[-1].content
    return parse_step(last).argument if method == "react" else parse_answer(last)[1]


@each_prompt
def test_a_prompt_has_its_number_of_examples_in_turns(method: str, task: str) -> None:
    assert preamble(method, task)[0].role == "system"
    found = examples(method, task)
    assert len(found) == SHOTS[task][METHODS.index(method)]
    for example in found:
        assert [turn.role for turn in example] == ["user", "assistant"] * (len(example) // 2)


@each_prompt
def test_every_example_ends_with_its_answer(method: str, task: str) -> None:
    for example in examples(method, task):
        assert re.fullmatch(ANSWERS[task], answer(method, example))


@pytest.mark.parametrize("task", TASKS)
def test_every_step_of_a_react_example_parses_and_says_why(task: str) -> None:
    for example in examples("react", task):
        said = [turn.content for turn in example if turn.role == "assistant"]
        steps = [parse_step(text) for text in said]
        assert [step.name for step in steps] == ["search"] * (len(steps) - 1) + ["finish"]
        assert all(text == f"Thought: {step.thought}\nAction: {step.name}[{step.argument}]"
                   for text, step in zip(said, steps, strict=True))
        assert SEARCHES[task][0] <= len(steps) - 1 <= SEARCHES[task][1]


def test_the_examples_of_wikipedia_use_every_action_as_the_tool_has_it() -> None:
    used = set()
    assert re.findall(r"Action: (\w+)\[", preamble("react", "wikipedia")[0].content) == [*Wikipedia.actions, "finish"]
    for example in examples("react", "wikipedia"):
        steps = [parse_step(turn.content) for turn in example[1::2]]
        assert [step.name for step in steps].index("finish") == len(steps) - 1
        last, shown = None, 0
        for step, seen in zip(steps, example[2::2], strict=False):
            used.add(step.name)
            text = seen.content.removeprefix(OBSERVATION).strip()
            shown = shown + 1 if (step.name, step.argument) == last else 1
            last = (step.name, step.argument)
            if step.name == "lookup":
                assert re.match(rf"\(Result {shown} / \d\) .*\b{step.argument}\b", text)
            else:
                assert step.argument.split()[-1] in text
                assert not text.startswith("Could") or re.fullmatch(rf"Could not find {step.argument}\. "
                                                                    r"Similar: \['.+'\]\.", text)
    assert used == set(Wikipedia.actions)


@pytest.mark.parametrize("task", ["hotpotqa", "strategyqa", "mmlu"])
def test_observations_are_as_long_as_search_snippets(task: str) -> None:
    lengths = [len(turn.content) - len(OBSERVATION) for example in examples("react", task) for turn in example[2::2]]
    assert all(100 <= length <= 250 for length in lengths)


@pytest.mark.parametrize("task", TASKS)
def test_the_methods_share_their_examples(task: str) -> None:
    """So that what differs between methods is the method."""
    direct, cot, react = ({example[0].content: answer(method, example) for example in examples(method, task)}
                          for method in METHODS)
    assert direct == cot
    assert react.items() <= direct.items()


@pytest.mark.parametrize("method", METHODS)
def test_the_examples_answers_are_balanced(method: str) -> None:
    assert sorted(answer(method, example) for example in examples(method, "strategyqa")) == ["no", "no", "yes", "yes"]
    assert len({answer(method, example) for example in examples(method, "mmlu")}) == 3


@pytest.mark.parametrize("method", METHODS)
def test_a_question_keeps_its_options(method: str) -> None:
    for example in examples(method, "mmlu"):
        assert re.fullmatch(r"[^\n]+\nA\. .+\nB\. .+\nC\. .+\nD\. .+", example[0].content)


def test_a_line_without_a_label_goes_on_with_what_is_above_it(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("Answer.\n\nQuestion: Which?\nA. this\nB. that\nThought: I look.\nIt may help.\n"
                                       "Action: search[x]\nObservation: first\nsecond\nThought: So.\nAction: finish[A]")
    assert preamble("react", str(tmp_path / "mine.txt"))[1:] == [
        Message("user", "Which?\nA. this\nB. that"),
        Message("assistant", "Thought: I look.\nIt may help.\nAction: search[x]"),
        Message("user", "Observation: first\nsecond"),
        Message("assistant", "Thought: So.\nAction: finish[A]"),
    ]


@pytest.mark.parametrize("example", ["Paris", "Thought: so.\nAction: finish[x]\nObservation: Episode finished"])
def test_an_example_that_does_not_end_with_the_models_turn_is_refused(example: str, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text(f"Answer.\n\nQuestion: Capital of France?\n{example}")
    with pytest.raises(ConfigError, match=r"the example 'Capital of France\?' does not end with the model's turn"):
        preamble("react", str(tmp_path / "mine.txt"))


def words(text: str) -> list[str]:
    return normalize(text).split()


def benchmark_questions(folder: Path) -> Iterator[str]:
    """Every question of every split, and of FireAct's fine-tuning data."""
    for path in sorted(folder.rglob("*.json*")):
        text = path.read_text(encoding="utf-8").strip()
        rows = json.loads(text) if path.suffix == ".json" else [json.loads(line) for line in text.split("\n")]
        for row in rows:
            if isinstance(row, dict):
                yield row.get("question") or row.get("instruction") or row.get("messages", [{}])[0].get("content", "")
    for path in sorted(folder.rglob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            yield from (row["Question"] for row in csv.DictReader(file))


def test_no_example_is_a_question_of_a_benchmark() -> None:
    """Neither the same, after normalisation, nor with eight words in a row in common."""
    own = {example[0].content.split("\n")[0] for method, task in PROMPTS for example in examples(method, task)}
    own |= {turn.content.split("\n")[0].removeprefix("Question: ") for turn in value_preamble()[1::2]}
    grams = {gram for question in own for gram in ngrams(words(question))}
    folder, seen = real_data(), 0
    for question in benchmark_questions(folder):
        seen += 1
        assert grams.isdisjoint(ngrams(words(question))), question
    assert seen > 20_000


def ngrams(tokens: list[str], length: int = 8) -> set[tuple[str, ...]]:
    """All runs of so many words; a shorter text is one run."""
    return {tuple(tokens[at: at + length]) for at in range(max(1, len(tokens) - length + 1))}


def test_the_turns_alternate_over_the_whole_preamble() -> None:
    for method, task in PROMPTS:
        roles = [turn.role for turn in preamble(method, task)[1:]]
        assert all(before != after for before, after in pairwise(roles))
