"""The search over steps as a generator, driven by hand."""

import pytest

from fireact.errors import ConfigError
from fireact.requests import Act, Ask, Choose, Refuse
from fireact.strategy.tree import Tree
from tests.strategy.driving import finish

A, B = "Thought: a\nAction: search[a]", "Thought: b\nAction: search[b]"


def test_equal_proposals_are_one_node_and_the_first_has_the_models_own_temperature() -> None:
    play = Tree(k=3, value="votes").play("Q?", few_shot=False)
    asks = next(play)
    assert [(ask.sample, ask.node, ask.temperature) for ask in asks] == [(0, "0", None), (1, "1", 0.7), (2, "2", 0.7)]
    assert play.send([A, B, "Thought: other words\nAction: search[ A ]"]) == [
        Act("search", "a", node="0"), Act("search", "b", node="1")]


def test_best_first_goes_on_from_what_most_samples_proposed() -> None:
    play = Tree(k=3, value="votes").play("Q?", few_shot=False)
    next(play)
    play.send([B, A, A])
    asks = play.send(["saw b", "saw a"])
    assert [ask.node for ask in asks] == ["1.0", "1.1", "1.2"]
    assert asks[0].messages[-1].content == "Observation: saw a"
    chosen = play.send(["Action: finish[x]"] * 3)
    assert chosen == Choose("1.0")
    assert finish(play, None) == "x"


def test_a_step_back_where_another_way_is_worth_more() -> None:
    play = Tree(k=2, value="model").play("Q?", few_shot=False)
    next(play)
    play.send([A, B])
    values = play.send(["saw a", "saw b"])
    assert [(ask.form, ask.node) for ask in values] == [("value", "0"), ("value", "1")]
    assert values[0].messages[-1].content == "Question: Q?\nThought: a\nAction: search[a]\nObservation: saw a"
    asks = play.send(["Value: sure", "Value: maybe"])
    assert [ask.node for ask in asks] == ["0.0", "0.1"]
    play.send(["Action: search[c]", "Action: search[d]"])
    play.send(["saw c", "saw d"])
    asks = play.send(["impossible", "Value: impossible"])
    assert [ask.node for ask in asks] == ["1.0", "1.1"]


def test_breadth_keeps_the_beam() -> None:
    play = Tree(k=3, beam=2, search="breadth", value="votes").play("Q?", few_shot=False)
    next(play)
    play.send([A, B, B])
    asks = play.send(["saw a", "saw b"])
    assert [ask.node for ask in asks] == ["1.0", "1.1", "1.2", "0.0", "0.1", "0.2"]


def test_the_calls_are_never_more_than_the_budget() -> None:
    for calls in range(3, 30):
        for value in ("votes", "model"):
            play = Tree(k=3, calls=calls, value=value, depth=20).play("Q?", few_shot=False)
            used, number = 0, 0
            request = next(play, None)
            while request is not None:
                assert isinstance(request, list)
                if isinstance(request[0], Ask):
                    used += len(request)
                    reply = ["Value: maybe" if ask.form == "value" else f"Action: search[{(number := number + 1)}]"
                             for ask in request]
                else:
                    reply = ["seen"] * len(request)
                try:
                    request = play.send(reply)
                except StopIteration:
                    break
            assert used <= calls


def test_where_no_sample_is_a_step_it_goes_on_from_the_refusal() -> None:
    play = Tree(k=2, value="votes", calls=6).play("Q?", few_shot=False)
    next(play)
    [refused] = play.send(["no idea", "none"])
    assert isinstance(refused, Refuse)
    assert refused.node == "0"
    assert "Action: search[Paris]" in refused.text
    asks = play.send([refused.text])
    assert [ask.node for ask in asks] == ["0.0", "0.1"]
    assert [message.content for message in asks[0].messages] == ["Q?", "no idea", f"Observation: {refused.text}"]
    assert play.send(["Action: finish[x]", "none"]) == Choose("0.0")


def test_a_refused_step_is_gone_on_from_only_where_nothing_else_is_left() -> None:
    play = Tree(k=2, value="votes").play("Q?", few_shot=False)
    next(play)
    play.send([A, B])
    play.send(["saw a", "saw b"])
    [refused] = play.send(["what", "now"])
    assert refused.node == "0.0"
    assert [ask.node for ask in play.send([refused.text])] == ["1.0", "1.1"]


def test_a_budget_for_no_step_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"strategy\.calls=2 is too few .* strategy\.k=3"):
        Tree(calls=2)


def test_a_prompted_model_that_stops_after_its_thought_is_led_on() -> None:
    play = Tree(prompt="factbook", k=2).play("Q?", few_shot=True)
    next(play)
    led = play.send([A, "Thought: I look it up."])
    assert [ask.prime for ask in led] == ["Thought: I look it up.\nAction:"]
    assert play.send(["Thought: I look it up.\nAction: search[x]"]) == [
        Act("search", "a", node="0"), Act("search", "x", node="1")]


@pytest.mark.parametrize(("word", "best"), [("Value: impossible", "1"), ("no idea", "0"), ("unlikely", "1"),
                                            ("I am not sure", "0"), ("likely", "0")])
def test_a_word_that_is_no_value_is_worth_a_maybe(word: str, best: str) -> None:
    play = Tree(k=2, value="model").play("Q?", few_shot=False)
    next(play)
    play.send([A, B])
    play.send(["saw a", "saw b"])
    assert play.send([word, "Value: maybe"])[0].node == f"{best}.0"
