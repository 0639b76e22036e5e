"""From trajectory to training text: golden conversations, and the prompt the model sees when it plays."""

import asyncio
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import pytest

from fireact.episode import Player
from fireact.examples import Loss, conversation, example
from fireact.formats import read
from fireact.jsonl import encode
from fireact.model.oracle import Oracle
from fireact.model.scripted import Scripted
from fireact.plan import Hop, Plan
from fireact.protocols import Strategy
from fireact.render import render_prompt
from fireact.requests import Act, Ask, Refuse
from fireact.strategy.cot import Cot
from fireact.strategy.direct import Direct
from fireact.strategy.react import React
from fireact.strategy.reflexion import REFLECTIONS, Reflexion
from fireact.templates import chat_template
from fireact.types import Message, Observation, Question, Trajectory
from fireact.viewer import main
from tests.helpers import ROOT, Gold, real_data
from tests.model.tiny import tiny_tokenizer
from tests.test_render import LLAMA2, marked

HOPS = (Hop("I need the country.", "capital Thimphu", r"capital of (\w+) is Thimphu", "Thimphu is in {1}."),
        Hop("I need the currency of {1}.", "currency {1}", r"currency of {1} is (\w+)", "{1} has {2}."))
QUESTION = Question("q1", "What is the currency of Thimphu?", ("ngultrum",), plan=Plan(HOPS))


@dataclass
class World:
    """Two facts."""

    actions: tuple[str, ...] = ("search",)

    async def __call__(self, act: Act) -> Observation:
        if act.argument == "capital Thimphu":
            return Observation("The capital of Bhutan is Thimphu.")
        return Observation("The currency of Bhutan is ngultrum." if "Bhutan" in act.argument else "Nothing was found.")


AnyStrategy = React | Reflexion | Cot | Direct


def play(model: Any, strategy: AnyStrategy, seed: int = 0) -> Trajectory:
    strategy.prompt = "factbook"
    player = Player(method="x", task="gold", strategy=strategy, few_shot=True, model=model, tool=World(),
                    dataset=Gold(QUESTION), seed=seed)
    return asyncio.run(player.play(QUESTION))


def said(strategy: AnyStrategy, *replies: str) -> Trajectory:
    return play(Scripted(replies=list(replies)), strategy)


def user(text: str) -> Message:
    return Message("user", text)


def assistant(text: str) -> Message:
    return Message("assistant", text)


def test_react() -> None:
    record = said(React(), "thought: I look.  ACTION: Search[capital Thimphu].\nObservation: made up",
                  "Thought: Seen.\nAction: finish[ngultrum]")
    assert conversation(record) == ([
        user("What is the currency of Thimphu?"),
        assistant("Thought: I look.\nAction: search[capital Thimphu]"),
        user("Observation: The capital of Bhutan is Thimphu."),
        assistant("Thought: Seen.\nAction: finish[ngultrum]")], [1, 3])


def test_a_refused_reply_is_shown_but_not_learnt() -> None:
    record = said(React(), "Thought: hm\nAction:\nObservation: made up", "Thought: ok.\nAction: look[x]",
                  "Thought: I know.\nAction: finish[ngultrum]")
    assert conversation(record) == ([
        user("What is the currency of Thimphu?"),
        assistant("Thought: hm\nAction:"),
        user("Observation: the action '' is not of the form name[argument]; write e.g. Action: search[Paris]"),
        assistant("Thought: ok.\nAction: look[x]"),
        user("Observation: there is no tool 'look'; use one of search[...], finish[...]"),
        assistant("Thought: I know.\nAction: finish[ngultrum]")], [5])


def test_an_observation_that_nobody_answers_is_left_out() -> None:
    record = said(React(max_rounds=2), "Thought: a.\nAction: search[a]")
    messages, learnt = conversation(record)
    assert [message.role for message in messages] == ["user", "assistant", "user", "assistant"]
    assert learnt == [1, 3]


def test_reflexion_learns_its_reflections() -> None:
    replies = [f"Thought: look.\nAction: search[{number}]" for number in range(5)]
    record = said(Reflexion(), *replies, "Thought: I try another.\nAction: finish[ngultrum]")
    messages, learnt = conversation(record)
    assert messages[-1] == assistant(f"Thought: {REFLECTIONS[6]} I try another.\nAction: finish[ngultrum]")
    assert learnt == [1, 3, 5, 7, 9, 11]


def test_a_chain_of_thought_is_one_round_that_finishes() -> None:
    record = said(Cot(), "hm", "Thought: Bhutan has it.\nAnswer: Ngultrum.")
    assert conversation(record) == ([
        user("What is the currency of Thimphu?"),
        assistant("Thought: Bhutan has it.\nAction: finish[Ngultrum.]")], [1])


def test_a_direct_answer_is_a_round_without_a_thought() -> None:
    record = said(Direct(), "ngultrum")
    assert conversation(record) == ([
        user("What is the currency of Thimphu?"), assistant("Action: finish[ngultrum]")], [1])


@pytest.mark.parametrize(("strategy", "reply"), [(Cot(), "hm"), (Direct(), " ")])
def test_an_answer_that_never_came_is_not_learnt(strategy: AnyStrategy, reply: str) -> None:
    assert conversation(said(strategy, reply))[1] == []


def prompts(strategy: Strategy, record: Trajectory) -> list[Ask]:
    """What a strategy without examples asks, where the model says what the record says."""
    running, asks = strategy.play(record.question.text, few_shot=False), []
    replies = [step.text for step in record.steps]
    request = next(running)
    for kind, reply in zip([step.kind for step in record.steps], replies, strict=True):
        if kind == "ask":
            assert isinstance(request, Ask)
            asks.append(request)
        elif kind == "refuse" and isinstance(request, Refuse):
            assert request.text == reply
        try:
            request = running.send(reply)
        except StopIteration:
            break
    return asks


@pytest.mark.parametrize("strategy", [React(), Reflexion()], ids=["react", "reflexion"])
@pytest.mark.parametrize("seed", range(6))
def test_training_shows_what_playing_shows(strategy: AnyStrategy, seed: int) -> None:
    """Where they differ, a student is asked what it never saw, and nothing tells."""
    record = play(Oracle(tool=World(), mistakes=0.5, lost=0.5), strategy, seed)
    messages, learnt = conversation(record)
    asks = prompts(strategy, record)
    assert len(asks) == record.rounds
    tokenizer = tiny_tokenizer()
    trained = example(tokenizer, record)
    for ask in asks:
        at = len(ask.messages)
        assert tuple(messages[:at]) == ask.messages
        assert messages[at].role == "assistant"
        assert messages[at].content.startswith(ask.prime)
        prompt = render_prompt(tokenizer, ask.messages, ask.prime)
        assert trained.ids[: len(prompt)] == tuple(prompt)
    assert set(learnt) <= {len(ask.messages) for ask in asks}


def test_the_mask_holds_what_the_model_wrote() -> None:
    record = said(React(), "no step", "Thought: I look.\nAction: search[capital Thimphu]",
                  "Thought: Seen.\nAction: finish[ngultrum]")
    tokenizer = tiny_tokenizer()
    built = example(tokenizer, record)
    assert len(built.ids) == len(built.mask)
    learnt = tokenizer.decode([token for token, counts in zip(built.ids, built.mask, strict=True) if counts])
    assert learnt == ("Thought: I look.\nAction: search[capital Thimphu]<|im_end|>"
                      "Thought: Seen.\nAction: finish[ngultrum]<|im_end|>")


LOSSES: tuple[Loss, ...] = get_args(Loss)
SEARCH, FINISH = "Thought: I look.\nAction: search[capital Thimphu]", "Thought: Seen.\nAction: finish[ngultrum]"
END = "<|im_end|>"
LEARNT = {
    ("react", "assistant"): SEARCH + END + FINISH + END,
    ("react", "actions"): f"Action: search[capital Thimphu]{END}Action: finish[ngultrum]{END}",
    ("react", "final"): FINISH + END,
    ("refused", "assistant"): SEARCH + END + FINISH + END,
    ("refused", "actions"): f"Action: search[capital Thimphu]{END}Action: finish[ngultrum]{END}",
    ("refused", "final"): FINISH + END,
    ("led on", "assistant"): SEARCH + END + FINISH + END,
    ("led on", "actions"): f"Action: search[capital Thimphu]{END}Action: finish[ngultrum]{END}",
    ("led on", "final"): FINISH + END,
    ("reflexion", "assistant"): f"{SEARCH}{END}Thought: Now I reflect. Seen.\nAction: finish[ngultrum]{END}",
    ("reflexion", "actions"): f"Action: search[capital Thimphu]{END}Action: finish[ngultrum]{END}",
    ("reflexion", "final"): f"Thought: Now I reflect. Seen.\nAction: finish[ngultrum]{END}",
    ("cot", "assistant"): f"Thought: Bhutan has it.\nAction: finish[ngultrum]{END}",
    ("cot", "actions"): f"Action: finish[ngultrum]{END}",
    ("cot", "final"): f"Thought: Bhutan has it.\nAction: finish[ngultrum]{END}",
    ("direct", "assistant"): f"Action: finish[ngultrum]{END}",
    ("direct", "actions"): f"Action: finish[ngultrum]{END}",
    ("direct", "final"): f"Action: finish[ngultrum]{END}",
}


KINDS = ("react", "refused", "led on", "reflexion", "cot", "direct")


@pytest.fixture(scope="module")
def records() -> dict[str, Trajectory]:
    """Episodes of every kind."""
    react = said(React(), SEARCH, FINISH)
    return {
        "react": react,
        "refused": said(React(), "Thought: ok.\nAction: look[x]", SEARCH, "Thought: No.\nAction: peek[y]", FINISH),
        "led on": replace(react, steps=(replace(react.steps[0], text="Thought: I look."), *react.steps)),
        "reflexion": said(Reflexion(reflections={2: "Now I reflect."}), SEARCH, FINISH),
        "cot": said(Cot(), "Thought: Bhutan has it.\nAnswer: ngultrum"),
        "direct": said(Direct(), "ngultrum"),
    }


def learnt(tokenizer: Any, record: Trajectory, loss: Loss) -> str:
    built = example(tokenizer, record, loss)
    return tokenizer.decode([token for token, counts in zip(built.ids, built.mask, strict=True) if counts])


@pytest.mark.parametrize(("kind", "loss"), LEARNT)
def test_what_is_learnt(records: dict[str, Trajectory], kind: str, loss: Loss) -> None:
    assert learnt(tiny_tokenizer(), records[kind], loss) == LEARNT[kind, loss]
    # Llama 2 writes a space around a turn; plain text has no template at all.
    spaced = learnt(tiny_tokenizer(LLAMA2, ("<s>",)), records[kind], loss)
    assert [part.strip() for part in spaced.split(END)] == LEARNT[kind, loss].split(END)
    assert learnt(tiny_tokenizer(None), records[kind], loss) == LEARNT[kind, loss]
    # FireAct's text has no ends of turns: there it is the word that follows, but for the last.
    *turns, _ = LEARNT[kind, loss].split(END)
    assert learnt(alpaca(), records[kind], loss) == "\nObservation:".join(turns) + END


def alpaca() -> Any:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = chat_template(tokenizer, "alpaca")
    return tokenizer


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", LOSSES)
def test_roles_and_masks_agree(records: dict[str, Trajectory], kind: str, loss: Loss) -> None:
    """What is not trained on is what the model did not write, or was not asked to learn."""
    for tokenizer in (tiny_tokenizer(), tiny_tokenizer(LLAMA2, ("<s>",)), tiny_tokenizer(None), alpaca()):
        built = example(tokenizer, records[kind], loss)
        trained = {role for role, weight in zip(built.roles, built.mask, strict=True) if weight}
        left_out = {role for role, weight in zip(built.roles, built.mask, strict=True) if not weight}
        assert "q" not in trained
        if loss == "assistant":
            assert trained <= set("tafe")
            assert left_out <= set("qor")
        elif loss == "actions":
            assert trained <= set("afe")
        elif loss == "final":
            assert trained <= set("tfe")
        else:
            assert not left_out & set("tafer")


@pytest.mark.parametrize("kind", KINDS)
def test_all_output_is_what_follows_the_question(records: dict[str, Trajectory], kind: str) -> None:
    for template in (None, LLAMA2):
        tokenizer = tiny_tokenizer(template, ("<s>",))
        built, prompt = example(tokenizer, records[kind], "all_output"), render_prompt(tokenizer, [user(QUESTION.text)])
        end = len(built.mask) - built.mask[::-1].index(1)
        assert built.mask[: end] == (0,) * len(prompt) + (1,) * (end - len(prompt))
        assert built.ids[end - 1] == tokenizer.eos_token_id
        assert tokenizer.decode(built.ids[end:]).strip() == ""


def test_all_output_holds_observations_and_refusals(records: dict[str, Trajectory]) -> None:
    built = example(tiny_tokenizer(LLAMA2, ("<s>",)), records["refused"], "all_output")
    assert marked(tiny_tokenizer(LLAMA2, ("<s>",)), built.ids, built.mask) == (
        "<s>[INST] What is the currency of Thimphu? [/INST]« Thought: ok.\nAction: look[x] <|im_end|>"
        "<s>[INST] Observation: there is no tool 'look'; use one of search[...], finish[...] [/INST]"
        " Thought: I look.\nAction: search[capital Thimphu] <|im_end|>"
        "<s>[INST] Observation: The capital of Bhutan is Thimphu. [/INST] Thought: No.\nAction: peek[y] <|im_end|>"
        "<s>[INST] Observation: there is no tool 'peek'; use one of search[...], finish[...] [/INST]"
        " Thought: Seen.\nAction: finish[ngultrum] <|im_end|>»")


@pytest.mark.parametrize("seed", range(4))
def test_the_ids_do_not_depend_on_the_loss(seed: int) -> None:
    record, tokenizer = play(Oracle(tool=World(), mistakes=0.5, lost=0.5), React(), seed), tiny_tokenizer()
    built = {loss: example(tokenizer, record, loss) for loss in LOSSES}
    assert len({one.ids for one in built.values()}) == 1
    masks = {loss: [at for at, counts in enumerate(one.mask) if counts] for loss, one in built.items()}
    assert set(masks["actions"]) < set(masks["assistant"]) <= set(masks["all_output"])
    assert set(masks["final"]) <= set(masks["assistant"])
    assert masks["final"][-1] == masks["actions"][-1] == masks["assistant"][-1]


@pytest.mark.parametrize("loss", LOSSES)
def test_an_answer_that_never_came_is_learnt_in_no_way(loss: Loss) -> None:
    assert not any(example(tiny_tokenizer(), said(Cot(), "hm"), loss).mask)
    refused = said(React(max_rounds=1), "Thought: ok.\nAction: look[x]")
    assert not any(example(tiny_tokenizer(), refused, loss).mask)


def test_an_id_names_dataset_method_and_question(records: dict[str, Trajectory]) -> None:
    assert example(tiny_tokenizer(), records["react"]).id == "gold/x/q1"
    assert example(tiny_tokenizer(), replace(records["react"], dataset="")).id == "x/q1"


def test_the_released_trajectories_are_learnt_by_their_actions() -> None:
    """Each of FireAct's 500, as GPT-4 wrote them."""
    tokenizer = tiny_tokenizer()
    records = read(real_data("fireact", "finetune", "gpt_format", "hotpotqa.jsonl")).trajectories
    assert len({example(tokenizer, record).id for record in records}) == len(records) == 500
    for record in records:
        actions = learnt(tokenizer, record, "actions").split(END)
        assert actions.pop() == ""
        assert len(actions) == record.rounds
        assert all(action.startswith("Action: ") and action.endswith("]") for action in actions)
        assert actions[-1].startswith("Action: finish[")


@pytest.fixture
def viewed(tmp_path: Path, records: dict[str, Trajectory]) -> list[str]:
    """The arguments for two trajectories and a tokenizer, as files."""
    hostile = replace(records["react"], question=replace(QUESTION, text="\x1b[2J [red]What?"))
    path = tmp_path / "trajectories.jsonl"
    path.write_text("".join(f"{encode(record)}\n" for record in (hostile, records["cot"])), encoding="utf-8")
    tiny_tokenizer().save_pretrained(tmp_path / "tokenizer")
    return [str(path), str(tmp_path / "tokenizer")]


def test_the_viewer_shows_what_is_trained_on(viewed: list[str], records: dict[str, Trajectory],
                                             capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*viewed, "--loss", "actions", "--n", "1"]) == 0
    shown = capsys.readouterr().out
    built = [example(tiny_tokenizer(), records[kind], "actions") for kind in ("react", "cot")]
    assert "␛[2J [red]What?" in shown
    assert "\nThought: I look.\n«Action: search[capital Thimphu]<|im_end|>»\n" in shown
    assert f"gold/x/q1: {sum(built[0].mask)} of " in shown
    assert "finish" in shown
    assert "Bhutan has it" not in shown
    assert shown.splitlines()[-1].startswith("2 examples, ")
    assert "trained on (loss=actions); the longest, gold/x/q1, has " in shown


def test_the_viewer_colours_a_terminal(viewed: list[str], monkeypatch: pytest.MonkeyPatch,
                                       capsys: pytest.CaptureFixture[str]) -> None:
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert main(viewed) == 0
    shown = capsys.readouterr().out
    assert "\x1b[30;42mThought: I look.\x1b[0m" in shown
    assert "«" not in shown


def test_the_viewer_explains_what_it_cannot_show(tmp_path: Path, viewed: list[str],
                                                 capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty.jsonl").touch()
    for arguments, sentence in (([str(tmp_path / "empty.jsonl"), viewed[1]], "the file is empty"),
                                ([viewed[0], str(tmp_path)], "check that the folder is complete"),
                                ([viewed[0], str(tmp_path / "nowhere")], "nowhere is no folder; name that of a model"),
                                ([str(tmp_path / "nowhere"), viewed[1]], "nowhere")):
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert sentence in error
        assert len(error.strip().splitlines()) == 1


def test_the_viewer_is_a_command(viewed: list[str]) -> None:
    run = subprocess.run([sys.executable, "-m", "fireact.viewer", *viewed], cwd=ROOT, capture_output=True, text=True,
                         check=False)
    assert run.returncode == 0, run.stderr
    assert "2 examples" in run.stdout
