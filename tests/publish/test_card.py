"""What stands in a card can be read by the hub, whatever words come in, and tells nothing of this machine."""

from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard

from fireact.card import Card, licence, recipe, write
from fireact.card.words import base_name, code, plain, public
from fireact.train import Dpo, Train

SUMMARY = {"n": 100, "em": 0.31, "em_se": 0.046, "f1": 0.4, "f1_se": 0.045}
BARE: dict[str, Any] = {"form": "adapter", "name": "student", "base": "Qwen/Qwen3-0.6B", "base_identity": "abc",
                        "recipe": recipe(Train()), "results": {"train_loss": 0.5}, "versions": {"torch": "2.13"}}
DIFFERENCE = {"n": 100, "em": 0.1, "se": 0.04, "ci95": [0.02, 0.18], "p": 0.02}


def read(card: Card) -> ModelCard:
    return ModelCard(write(card), ignore_metadata_errors=False)


def test_a_training_s_card_has_no_scores() -> None:
    card = read(Card(**BARE))
    assert card.data.base_model == "Qwen/Qwen3-0.6B"
    assert card.data.library_name == "peft"
    assert card.data.license == "apache-2.0"
    assert card.data.eval_results is None
    assert "| learning rate | 0.001 |" in card.text
    assert "## Scores" not in card.text
    assert "checkpoint every" not in card.text


def test_options_that_played_no_part_are_left_out() -> None:
    text = write(Card(**{**BARE, "recipe": recipe(Train(method="full", dpo=Dpo(beta=0.3)))}))
    assert "| method | full |" in text
    assert "| dpo beta | 0.3 |" in text
    assert not any(f"| {name} |" in text for name in ("rank", "alpha", "targets", "judge episodes"))
    assert "| rank | 16 |" in write(Card(**BARE))


def test_scores_come_with_n_errors_and_the_paired_difference() -> None:
    scores = {"hotpotqa": {"prompted": {**SUMMARY, "em": 0.21}, "finetuned": SUMMARY, "difference": DIFFERENCE,
                           "faults": {"random": {"finetuned": {**SUMMARY, "em": 0.25}}}}}
    card = read(Card(**BARE, scores=scores))
    assert "| hotpotqa | fine-tuned | 100 | 31.0 ± 4.6 | 40.0 ± 4.5 |" in card.text
    assert "| hotpotqa, tool fault random | fine-tuned | 100 | 25.0 ± 4.6 | 40.0 ± 4.5 |" in card.text
    assert "Fine-tuned is better than prompted: +10.0 points of EM (95% interval +2.0 to +18.0" in card.text
    assert [(one.dataset_name, one.metric_type, one.metric_value) for one in card.data.eval_results] == [
        ("hotpotqa", "exact_match", 0.31), ("hotpotqa", "f1", 0.4)]
    assert "Not evaluated." in read(Card(**BARE, scores={})).text


@pytest.mark.parametrize("words", ['a: "b" # c', "---\nlicense: mit\n---", "x\x00\x85\u2028\ud800\U0001f600",
                                   "[l](j) <b>", "`a` ``b", "| a | b |", "*!&%@{}", "'", "", "- a\n- b"])
def test_no_word_breaks_the_card(words: str) -> None:
    card = Card(**{**BARE, "name": words, "base": words, "versions": {words: words}}, licence=words or None,
                command=words, commit=words, data={"teacher": words}, scores={words: {"finetuned": SUMMARY}})
    text = write(card)
    front = yaml.safe_load(text.split("\n---\n")[0])
    assert front["model-index"][0]["name"] == public(words)
    assert front["license"] == (public(words) or licence.UNKNOWN)
    assert text.count("\n---\n") == 1
    assert "<b>" not in text.split("\n---\n")[1].replace("`[l](j) <b>`", "")
    text.encode()


def test_nothing_of_this_machine_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_API_KEY", "sk-0123456789")
    said = public("python main.py store=/home/me/store inputs.curated='/data/my set/x' tool.key=sk-0123456789 a/b")
    assert said == "python main.py store=store inputs.curated='my set/x' tool.key=*** a/b"
    assert public("~/secret/model C:\\Users\\me\\model https://huggingface.co/a/b") == "model model https://huggingface.co/a/b"
    assert base_name("/home/me/models/llama") == ("llama", False)
    assert base_name("meta-llama/Llama-2-7b-chat-hf") == ("meta-llama/Llama-2-7b-chat-hf", True)
    card = write(Card(**{**BARE, "base": "/home/me/models/llama"}))
    assert "/home" not in card
    assert "base_model" not in card


def test_words_are_shown_as_they_are() -> None:
    assert plain("a_b|c*") == r"a\_b\|c\*"
    assert code("a `b` c") == "`` a `b` c ``"


@pytest.mark.parametrize(("base", "expected"), [
    ("meta-llama/Llama-2-7b-chat-hf", "llama2"), ("codellama/CodeLlama-7b-Instruct-hf", "llama2"),
    ("meta-llama/Llama-3.1-8B-Instruct", "llama3.1"), ("meta-llama/Llama-3.2-1B-Instruct", "llama3.2"),
    ("HuggingFaceTB/SmolLM2-135M-Instruct", "apache-2.0"), ("Qwen/Qwen2.5-0.5B-Instruct", "apache-2.0"),
    ("Qwen/Qwen2.5-3B-Instruct", "unknown"), ("Qwen/Qwen3-4B-Instruct-2507", "apache-2.0"), ("my/model", "unknown"),
])
def test_the_licence_follows_the_base_or_is_not_known(base: str, expected: str) -> None:
    assert licence.of_base(base) == expected
    assert licence.follows(expected, base)
