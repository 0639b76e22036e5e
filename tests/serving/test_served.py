"""What a server replies is what the engine in this process replies, with adapters and without, token by token."""

import asyncio
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from fireact.errors import ConfigError, ContextError, ProviderError
from fireact.model.local import Local, weights
from fireact.model.local.replies import reply_ends
from fireact.model.local.served import adapter_name
from fireact.render import render_prompt
from fireact.requests import Ask
from fireact.store import identity
from fireact.types import Completion, Episode, Message
from tests.model.tiny import TEXT, tiny_adapter, tiny_model
from tests.serving.servers import end_all, folder, judgement, served

WORDS = " ".join(TEXT).split()
ASKS = [Ask((Message("user", " ".join(WORDS[at: at + 9])),), stop=("\nObservation", "t"), prime="Thought:" * (at % 2),
            episode=Episode(f"q{at}", seed=3)) for at in range(6)]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def adapters(tiny: Path) -> list[Path]:
    return [tiny_adapter(tiny, tiny.parent / f"adapter-{seed}", seed=seed) for seed in range(2)]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory):
    """Where one server is, which all tests here share."""
    path = tmp_path_factory.mktemp("home")
    yield path
    end_all(path)


def replies(model: Local, asks: Sequence[Ask] = ASKS) -> list[Completion]:
    """All at once, from a model that is closed then."""

    async def play() -> list[Completion]:
        try:
            return await asyncio.gather(*map(model.complete, asks))
        finally:
            await model.close()

    return asyncio.run(play())


def in_process(tiny: Path, **options: object) -> Local:
    return Local(**{"name": "tiny", "source": str(tiny), "threads": 1, "max_tokens": 12} | options)


def requests(home: Path) -> list[dict]:
    """What the server was sent."""
    return [json.loads(line) for line in folder(home).log.read_text().splitlines() if line.startswith("{")]


@pytest.mark.parametrize("number", [None, 0, 1])
def test_it_replies_as_the_engine_in_this_process(tiny: Path, home: Path, adapters: list[Path],
                                                  number: int | None) -> None:
    adapter = None if number is None else adapters[number]
    there, here = replies(served(tiny, home, adapter=adapter)), replies(in_process(tiny, adapter=adapter))
    for one, other in zip(there, here, strict=True):
        assert (one.text, one.finish, one.prompt_tokens, one.completion_tokens) == (
            other.text, other.finish, other.prompt_tokens, other.completion_tokens)
    assert folder(home).path.joinpath("supervisor.log").read_text().count("started the engine") == 1


def test_adapters_make_a_difference(tiny: Path, home: Path, adapters: list[Path]) -> None:
    told = [replies(served(tiny, home, adapter=adapter)) for adapter in (None, *adapters)]
    assert len({tuple(reply.text for reply in one) for one in told}) == 3
    assert {reply.finish for one in told for reply in one} == {"stop", "length"}


def test_the_server_is_sent_the_ids_that_are_trained_on(tiny: Path, home: Path) -> None:
    tokenizer = weights.load_tokenizer(tiny)
    before = len(requests(home)) if (home / "serving").exists() else 0
    replies(served(tiny, home, temperature=0.5, top_p=0.9), ASKS[:2])
    sent = requests(home)[before:]
    assert sorted(one["prompt"] for one in sent) == sorted(render_prompt(tokenizer, ask.messages, ask.prime)
                                                           for ask in ASKS[:2])
    for one in sent:
        assert one["stop_token_ids"] == sorted(reply_ends(tiny, tokenizer))
        assert (one["stop"], one["max_tokens"], one["temperature"], one["top_p"]) == (
            ["\nObservation", "t"], 12, 0.5, 0.9)
        assert 0 <= one["seed"] < 2**63


def test_samples_depend_on_the_episode(tiny: Path, home: Path) -> None:
    def sampled(seed: int) -> list[str]:
        asks = [Ask(ask.messages, episode=Episode("q", seed)) for ask in ASKS[:3]]
        return [reply.text for reply in replies(served(tiny, home, temperature=1.0), asks)]

    assert sampled(1) == sampled(1)
    assert sampled(1) != sampled(2)


def test_what_was_cached_is_counted(tiny: Path, home: Path) -> None:
    replies(served(tiny, home), ASKS[:1])
    again, = replies(served(tiny, home), ASKS[:1])
    assert again.cached_tokens == again.prompt_tokens - 1


@pytest.mark.parametrize("adapted", [False, True])
def test_it_judges_replies(tiny: Path, home: Path, adapters: list[Path], adapted: bool) -> None:
    from peft import PeftModel

    model = served(tiny, home, adapter=adapters[0] if adapted else None)
    prompt = render_prompt(model.tokenizer(), ASKS[0].messages)
    reply = list(range(5, 15))
    judged = judgement(model, prompt, reply)
    reference = AutoModelForCausalLM.from_pretrained(tiny)
    if adapted:
        reference = PeftModel.from_pretrained(reference, str(adapters[0]))
    with torch.inference_mode():
        logs = reference.eval()(torch.tensor([prompt + reply])).logits[0, len(prompt) - 1: -1].log_softmax(-1)
    assert logs.argmax(-1).tolist() == judged.greedy
    expected = [float(row[token]) for row, token in zip(logs, reply, strict=True)]
    assert judged.logprobs == pytest.approx(expected, abs=1e-4)


def test_a_prompt_beyond_the_window_is_refused_here_and_there(tiny: Path, home: Path) -> None:
    long = Ask((Message("user", "word " * 600),))
    with pytest.raises(ContextError, match="exceed the window of tiny, 512 tokens"):
        replies(served(tiny, home), [long])

    async def send() -> None:
        model = served(tiny, home)
        try:
            await model.judge([5] * 599, [5])
        finally:
            await model.close()

    with pytest.raises(ContextError, match=r"refuses the request: .*maximum context length is 512"):
        asyncio.run(send())


def test_the_same_adapter_has_the_same_name_wherever_it_lies(tiny: Path, home: Path, adapters: list[Path],
                                                             tmp_path: Path) -> None:
    copy = shutil.copytree(adapters[0], tmp_path / "copy")
    assert adapter_name(copy) == adapter_name(adapters[0]) != adapter_name(adapters[1])
    for adapter in (adapters[0], copy):
        replies(served(tiny, home, adapter=adapter), ASKS[:1])
    loaded = [one["lora_name"] for one in requests(home) if one["path"].endswith("load_lora_adapter")]
    assert loaded.count(adapter_name(copy)) == 1


def test_an_adapter_of_another_base_is_refused(tiny: Path, home: Path, tmp_path: Path) -> None:
    other = tiny_adapter(tiny_model(tmp_path / "other", seed=5), tmp_path / "adapter")
    with pytest.raises(ConfigError, match=r"was trained on .*choose the model it was trained on"):
        replies(served(tiny, home, adapter=other))


@pytest.mark.parametrize(("server", "sentence"), [
    ({"max_lora_rank": 2}, r"has rank 4, more than model\.serving\.max_lora_rank=2"),
    ({"max_loras": 0}, r"model\.serving\.max_loras=0 serves no adapter"),
])
def test_an_adapter_that_the_server_has_no_room_for_is_refused(tiny: Path, home: Path, adapters: list[Path],
                                                               server: dict[str, int], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        replies(served(tiny, home, adapter=adapters[0], server=server))


def test_an_adapter_that_the_engine_refuses_is_told(tiny: Path, tmp_path: Path, adapters: list[Path]) -> None:
    try:
        with pytest.raises(ConfigError, match=r"vLLM cannot serve the adapter .*rank is greater than max_lora_rank 2"):
            replies(served(tiny, tmp_path, "--max-lora-rank=2", adapter=adapters[0]))
    finally:
        end_all(tmp_path)


def test_a_fine_tuned_model_is_a_base_of_its_own(tiny: Path, tmp_path: Path) -> None:
    whole = tiny_model(tmp_path / "whole", seed=7)
    try:
        assert [reply.text for reply in replies(served(tiny, tmp_path, adapter=whole))] == [
            reply.text for reply in replies(in_process(tiny, adapter=whole))]
        assert "--enable-lora" not in json.loads(folder(tmp_path).spec.read_text())["command"]
    finally:
        end_all(tmp_path)


def test_a_key_holds_the_engine_but_not_how_it_is_started() -> None:
    def node(**options: object) -> dict:
        return {"_target_": "fireact.model.local.Local", "name": "x", "source": "y", **options}

    def server(**options: object) -> dict:
        return {"_target_": "fireact.serving.Serving", **options}

    plain, other = identity(node()), identity(node(engine="vllm"))
    assert plain != other
    assert "engine" not in plain
    assert plain == identity(node(serving=server(idle=5.0)))
    assert other == identity(node(engine="vllm", serving=server(command=["x"], idle=5.0, max_model_len=64)))
    assert other != identity(node(engine="vllm", serving=server(arguments=["--quantization=fp8"])))
    assert identity(node(), replies=False) == identity(node(engine="vllm"), replies=False)


def test_a_server_without_token_ids_is_told(tiny: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def older(*_: object) -> dict:
        return {"choices": [{"text": "hello"}]}

    monkeypatch.setattr("fireact.serving.client.Client._ask", older)
    with pytest.raises(ProviderError, match=r"answered without token ids.*needs vLLM 0\.11"):
        replies(served(tiny, home), ASKS[:1])
