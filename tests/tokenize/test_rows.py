"""Trajectories as rows: what is too long, and what an audit must see."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fireact.errors import DataError
from fireact.examples import Masking, conversation
from fireact.templates import chat_template
from fireact.tokenize.audit import Audit, require, summarize
from fireact.tokenize.fit import FEW, MORE
from fireact.tokenize.page import page
from fireact.tokenize.rows import Row, RowBuilder
from fireact.types import Question, Score, Step, StopReason, Trajectory
from tests.model.tiny import CHATML, tiny_tokenizer

QUESTION = Question("0", "What is the capital of France?", ("Paris",))


def record(*observations: str, name: str = "0") -> Trajectory:
    """An episode with so many searches."""
    steps: list[Step] = []
    for number, text in enumerate(observations):
        steps += [Step("ask", f"Thought: I look {number}.\nAction: search[capital {number}]", form="react"),
                  Step("act", text, tool="search")]
    steps.append(Step("ask", "Thought: Seen.\nAction: finish[Paris]", form="react"))
    return Trajectory(name, QUESTION, "react", tuple(steps), "Paris", StopReason.FINISHED, Score(1, 1), dataset="d")


LONG = "France is a country whose capital is Paris and there is a lot more to say of it " * 6


def builder(window: int, too_long: Any = "shorten", masking: Masking | None = None,
            tokenizer: Any = None) -> RowBuilder:
    return RowBuilder(tokenizer or tiny_tokenizer(), masking or Masking(), window, too_long)


def words(row: Row, roles: str, tokenizer: Any = None) -> str:
    tokenizer = tokenizer or tiny_tokenizer()
    return tokenizer.decode([token for token, role in zip(row.example.ids, row.example.roles, strict=True)
                             if role in roles])


def test_roles_tell_what_each_token_is_part_of() -> None:
    row = builder(10_000).row(record("Paris it is."))
    assert words(row, "t") == "Thought: I look 0.\nThought: Seen.\n"
    assert words(row, "a") == "Action: search[capital 0]"
    assert words(row, "f") == "Action: finish[Paris]"
    assert words(row, "e") == "<|im_end|>" * 2
    assert "What is the capital of France?" in words(row, "q")
    assert "Observation: Paris it is." in words(row, "o")
    assert len(row.example.roles) == len(row.example.ids)
    assert (row.broken_prompt, row.doubled_bos, row.open_ends, row.left_out) == (False, False, 0, "")


def test_the_middle_observations_are_shortened_first_and_the_last_one_last() -> None:
    first, middle, last = f"First. {LONG}", f"Middle. {LONG}", f"Last. {LONG}"
    whole = len(builder(10_000).row(record(first, middle, last)).example.ids)
    row = builder(whole - 60).row(record(first, middle, last))
    assert row.shortened
    assert not row.left_out
    assert len(row.example.ids) <= whole - 60
    shown = words(row, "o")
    assert first.strip() in shown
    assert last.strip() in shown
    assert middle.strip() not in shown
    assert f"{MORE}<|im_end|>" in shown
    # With more to go, the first one loses its end too, the last one not yet.
    row = builder(whole - 300).row(record(first, middle, last))
    assert first.strip() not in words(row, "o")
    assert last.strip() in words(row, "o")


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 120), min_size=1, max_size=4), st.integers(60, 500))
def test_a_shortened_row_keeps_all_that_is_learnt(sizes: list[int], window: int) -> None:
    episode = record(*(" ".join(["word"] * size) for size in sizes))
    whole, row = builder(10_000).row(episode), builder(window).row(episode)
    if row.left_out:
        assert row.left_out == f"{len(whole.example.ids)} tokens, more than {window}"
        least = builder(10_000).row(record(*(" ".join(["word"] * min(size, FEW)) for size in sizes)))
        assert len(least.example.ids) > window - 6 * len(sizes)
        return
    assert len(row.example.ids) <= window
    assert row.shortened == (len(whole.example.ids) > window)
    assert words(row, "tafe") == words(whole, "tafe")


def test_what_is_too_long_is_an_error_left_out_or_cut() -> None:
    with pytest.raises(DataError, match=r"'d/react/0' has \d+ tokens, but at most 40 fit .*train.too_long=shorten"):
        builder(40, "error").row(record(LONG))
    size = len(builder(10_000).row(record(LONG)).example.ids)
    assert builder(40, "drop").row(record(LONG)).left_out == f"{size} tokens, more than 40"
    cut = builder(size - 3, "truncate").row(record(LONG))
    assert cut.truncated
    assert cut.lost_final
    assert len(cut.example.ids) == len(cut.example.mask) == len(cut.example.roles) == size - 3
    # Behind the end of the last turn there is a line break, which is learnt by nobody.
    assert not builder(size - 1, "truncate").row(record(LONG)).lost_final
    nothing = builder(8, "truncate").row(record(LONG))
    assert nothing.left_out == "nothing in it is trained on"


def test_a_row_with_nothing_to_learn_is_left_out() -> None:
    row = builder(10_000).row(replace(record(), answer=None, steps=(Step("ask", "hm", form="cot"),)))
    assert row.left_out == "nothing in it is trained on"


def test_weights_of_steps() -> None:
    masking = Masking(step_weights=(0.5, 2.0), final_weight=3.0)
    row = builder(10_000, masking=masking).row(record("a", "b", "c"))
    weights = dict.fromkeys(weight for weight, role in zip(row.example.mask, row.example.roles, strict=True)
                            if role in "tafe")
    assert list(weights) == [0.5, 2.0, 6.0]
    assert {weight for weight, role in zip(row.example.mask, row.example.roles, strict=True) if role == "f"} == {6.0}


def test_the_end_of_a_turn_is_learnt_or_not_as_asked() -> None:
    with_end, without = (builder(10_000, masking=Masking(end_of_turn=end)).row(record("a")) for end in (True, False))
    assert with_end.example.ids == without.example.ids
    changed = [role for role, one, other in zip(with_end.example.roles, with_end.example.mask, without.example.mask,
                                                strict=True) if one != other]
    assert changed == ["e", "e"]


NO_END = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}" \
         "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"


def test_faults_are_found() -> None:
    doubled = builder(10_000, tokenizer=tiny_tokenizer("{{ bos_token + bos_token }}" + CHATML))
    open_ended = builder(10_000, tokenizer=tiny_tokenizer(NO_END))
    assert doubled.row(record("a")).doubled_bos
    # The end of text behind the last turn ends that; nothing ends the two before.
    assert open_ended.row(record("a", "b")).open_ends == 2
    assert builder(10_000, tokenizer=tiny_tokenizer(NO_END), masking=Masking(end_of_turn=False)).row(
        record("a", "b")).open_ends == 0


def test_the_audit_stops_the_run_by_name() -> None:
    rows = [builder(10_000).row(record("a", name=str(number))) for number in range(9)]
    rows.append(builder(60, "drop").row(record(LONG, name="long")))
    summary = summarize(rows)
    assert (summary["rows"], summary["used"]) == (10, 9)
    assert summary["faults"]["dropped"] == ["d/react/long"]
    assert summary["by_role"]["thought"]["trained"] == summary["by_role"]["thought"]["tokens"] > 0
    assert summary["by_role"]["observation"]["trained"] == 0
    assert summary["trained_tokens"] == sum(sum(row.example.mask[1:]) for row in rows[:9])
    with pytest.raises(DataError, match=r"1 of 10 training rows with a fault \(left out as too long\), e.g. "
                                        r"'d/react/long'; at most 5% may have it: .* train.audit.dropped=0.1"):
        require(summary, Audit())
    require(summary, Audit(dropped=0.1))
    empty = summarize([builder(60, "drop").row(record(LONG))])
    with pytest.raises(DataError, match="none of 1 training rows can be used"):
        require(empty, Audit(dropped=1))


def test_the_page_escapes_what_it_shows() -> None:
    hostile = record("<script>alert(1)</script>")
    rows = [builder(10_000, masking=Masking(step_weights=(0.25,))).row(hostile)]
    shown = page(tiny_tokenizer(), rows, summarize(rows))
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown
    assert "<script" not in shown
    assert '<mark class="f" title="final action">Action: finish[Paris]</mark><sup>0.25</sup>' in shown


@pytest.mark.parametrize("name", ["alpaca", "react"])
def test_our_templates_have_no_faults(name: Any) -> None:
    tokenizer = tiny_tokenizer(None, ("<s>",))
    tokenizer.chat_template = chat_template(tokenizer, name)
    row = builder(10_000, tokenizer=tokenizer).row(record("Paris it is."))
    assert (row.broken_prompt, row.rewritten, row.doubled_bos, row.open_ends) == (False, False, False, 0)


def test_what_a_model_wrote_keeps_its_weight_where_all_is_trained_on() -> None:
    row = builder(10_000, masking=Masking("all_output", step_weights=(0, 0.5), end_of_turn=False)).row(record("Paris."))
    weights = {role: {weight for weight, of in zip(row.example.mask, row.example.roles, strict=True) if of == role}
               for role in "qaofe"}
    assert weights == {"q": {0}, "a": {0}, "o": {0}, "f": {0.5}, "e": {0}}
    masking = Masking("all_output", step_weights=(1, 0.5), end_of_turn=False)
    heard = builder(10_000, masking=masking).row(record("Paris."))
    assert {weight for weight, of in zip(heard.example.mask, heard.example.roles, strict=True) if of == "o"} == {0, 1}


def test_a_template_that_writes_past_turns_anew_is_told() -> None:
    tokenizer = tiny_tokenizer()
    assert not builder(10_000, tokenizer=tokenizer).row(record("Paris.")).rewritten
    tokenizer.chat_template = CHATML.replace(
        "m['content']", "(m['content'] if loop.last else m['content'].split('Action:')[-1])")
    assert tokenizer.chat_template != CHATML
    row = builder(10_000, tokenizer=tokenizer).row(record("Paris."))
    assert row.rewritten
    assert summarize([row])["faults"]["rewritten"] == ["d/react/0"]
    require(summarize([row]), Audit())
    with pytest.raises(DataError, match=r"template writes past turns anew.*train\.audit\.rewritten=1"):
        require(summarize([row]), Audit(rewritten=0.0))


def test_no_row_at_all_is_refused() -> None:
    with pytest.raises(DataError, match="none of 0 training rows can be used; expected at least one"):
        require(summarize([]), Audit())


def test_the_alpaca_text_is_fireacts() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = chat_template(tokenizer, "alpaca")
    row = builder(10_000, tokenizer=tokenizer).row(record("Paris it is."))
    text = "".join(f"«{tokenizer.decode([token])}»" if weight else tokenizer.decode([token])
                   for token, weight in zip(row.example.ids, row.example.mask, strict=True)).replace("»«", "")
    assert text == (
        "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
        "### Instruction:\nWhat is the capital of France?\n\n### Response:\n"
        "«Thought: I look 0.\nAction: search[capital 0]\nObservation:» Paris it is.\n"
        "«Thought: Seen.\nAction: finish[Paris]<|im_end|>»")


def test_an_examples_prompts_are_those_of_playing() -> None:
    messages, _ = conversation(record("a", "b"))
    assert [message.role for message in messages] == ["user", "assistant", "user", "assistant", "user", "assistant"]
    assert not builder(10_000).row(record("a", "b")).broken_prompt
