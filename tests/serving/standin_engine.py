"""What vLLM's server is to its clients, with real weights and plain `generate`: for machines without vLLM.

    python tests/serving/standin_engine.py --model FOLDER --served-model-name NAME --port 8000

It takes vLLM's arguments and heeds a few. Weights are loaded when they are first asked. `--fail TEXT` ends it as vLLM
ends, `--never-ready` has it answer nothing.
Each request is written to its output, as a line of JSON.
"""

import argparse
import json
import os
import sys
import threading
import time
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class Refused(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class Standin:
    """The models of one server."""

    folder: str
    base: str
    window: int
    max_rank: int
    lock: threading.Lock = field(default_factory=threading.Lock)
    adapters: dict[str, Path] = field(default_factory=dict)
    loaded: dict[str, Any] = field(default_factory=dict)
    seen: list[tuple[str, list[int]]] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        return [self.base, *self.adapters]

    @cached_property
    def tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self.folder)

    def model(self, name: str) -> Any:
        import torch
        from peft import PeftModel
        from transformers import AutoModelForCausalLM

        torch.set_num_threads(1)
        if name not in self.loaded:
            base = AutoModelForCausalLM.from_pretrained(self.folder, dtype=torch.float32)
            adapter = self.adapters.get(name)
            self.loaded[name] = (PeftModel.from_pretrained(base, str(adapter)) if adapter else base).eval()
        return self.loaded[name]

    def load_adapter(self, body: dict[str, Any]) -> dict[str, Any]:
        name, path = body["lora_name"], Path(body["lora_path"])
        if name in self.names:
            raise Refused(400, f"The lora adapter '{name}' has already been loaded.")
        if not (path / "adapter_config.json").is_file():
            raise Refused(404, f"Loading lora {name} failed: No adapter found for {path}")
        if json.loads((path / "adapter_config.json").read_text())["r"] > self.max_rank:
            raise Refused(400, f"LoRA rank is greater than max_lora_rank {self.max_rank}.")
        self.adapters[name] = path
        return {}

    def complete(self, body: dict[str, Any]) -> dict[str, Any]:
        if body["model"] not in self.names:
            raise Refused(404, f"The model `{body['model']}` does not exist.")
        prompt, longest = body["prompt"], body["max_tokens"]
        if len(prompt) + longest > self.window:
            raise Refused(400, f"This model's maximum context length is {self.window} tokens.")
        model = self.model(body["model"])
        reply, finish = self._reply(model, prompt, body)
        cached = max((_shared(prompt, old) for name, old in self.seen if name == body["model"]), default=0)
        self.seen.append((body["model"], prompt + reply))
        choice = {"index": 0, "text": self.tokenizer.decode(reply), "finish_reason": finish, "token_ids": reply}
        if body.get("prompt_logprobs") is not None:
            choice["prompt_logprobs"] = self._logs(model, prompt)
        usage = {"prompt_tokens": len(prompt), "completion_tokens": len(reply),
                 "prompt_tokens_details": {"cached_tokens": min(cached, len(prompt) - 1)}}
        return {"choices": [choice], "usage": usage}

    def _reply(self, model: Any, prompt: list[int], body: dict[str, Any]) -> tuple[list[int], str]:
        import torch

        warm = {"do_sample": True, "temperature": body["temperature"], "top_p": body.get("top_p", 1.0)}
        torch.manual_seed(body.get("seed", 0))
        ids = model.generate(input_ids=torch.tensor([prompt]), max_new_tokens=body["max_tokens"],
                             **(warm if body["temperature"] else {"do_sample": False}))[0, len(prompt):].tolist()
        for end in range(1, len(ids) + 1):
            text = self.tokenizer.decode(ids[:end], skip_special_tokens=True)
            if ids[end - 1] in body.get("stop_token_ids", ()) or any(stop in text for stop in body.get("stop", ())):
                return ids[:end], "stop"
        return ids, "length"

    def _logs(self, model: Any, prompt: list[int]) -> list[dict[str, Any] | None]:
        import torch

        with torch.inference_mode():
            logs = model(input_ids=torch.tensor([prompt])).logits[0].log_softmax(-1)
        shown = ({token, int(logs[at].argmax())} for at, token in enumerate(prompt[1:]))
        return [None, *({str(token): {"logprob": float(logs[at, token])} for token in tokens}
                        for at, tokens in enumerate(shown))]


def _shared(one: list[int], other: list[int]) -> int:
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def handler(standin: Standin) -> type[BaseHTTPRequestHandler]:
    """The class that answers a server's requests."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._send(200, {"data": [{"id": name} for name in standin.names]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            try:
                with standin.lock:
                    print(json.dumps({"path": self.path, **body}), flush=True)
                    done = standin.complete(body) if self.path == "/v1/completions" else standin.load_adapter(body)
                self._send(200, done)
            except Refused as refusal:
                self._send(refusal.status, {"error": {"message": str(refusal), "code": refusal.status}})

        def _send(self, status: int, body: dict[str, Any]) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    return Handler


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    for name in ("model", "served-model-name", "host", "fail"):
        parser.add_argument(f"--{name}", default="")
    for name in ("port", "max-model-len", "max-lora-rank"):
        parser.add_argument(f"--{name}", type=int, default=0)
    parser.add_argument("--never-ready", action="store_true")
    told, _ = parser.parse_known_args()
    if told.fail:
        at = "(EngineCore pid=7) ERROR 11-26 20:50:14 [core.py:1021] "
        print(f"{at}{told.fail}\nTraceback (most recent call last):\n"
              "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}")
        sys.exit(1)
    if os.environ.get("VLLM_ALLOW_RUNTIME_LORA_UPDATING") != "True":
        sys.exit("RuntimeError: adapters cannot be loaded")
    while told.never_ready:
        time.sleep(1)
    standin = Standin(told.model, told.served_model_name, told.max_model_len, told.max_lora_rank)
    ThreadingHTTPServer((told.host, told.port), handler(standin)).serve_forever()


if __name__ == "__main__":
    main()
