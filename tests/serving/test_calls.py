"""A student that has learnt to call functions calls them, in this process and on a server."""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from fireact.examples import example_of
from fireact.requests import Ask
from fireact.toolspec import ToolSpec, text_argument
from fireact.types import Message
from tests.model.tiny import tiny_model
from tests.serving.servers import end_all, served
from tests.serving.test_served import in_process, replies
from tests.tool_templates import QWEN2_5

LOOK = ToolSpec("look", "", text_argument("at", ""))
TOOLS = (LOOK,)
TALK = (Message("user", "Who?"), Message("assistant", "I look.", (LOOK.call("a"), LOOK.call("b"))))


def learnt(folder: Path) -> Path:
    """A tiny model that knows the conversation by heart."""
    tiny_model(folder, window=2048)
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = QWEN2_5
    tokenizer.save_pretrained(folder)
    example = example_of(tokenizer, TALK, [1], "x", "assistant", TOOLS)
    model = AutoModelForCausalLM.from_pretrained(folder)
    ids = torch.tensor([example.ids])
    labels = ids.masked_fill(torch.tensor([example.mask]) == 0, -100)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=0)
    loss = torch.tensor(1.0)
    for _ in range(200):
        loss = model(ids, labels=labels).loss
        if loss.item() < 0.01:
            break
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert loss.item() < 0.01
    model.save_pretrained(folder)
    return folder


def test_a_student_calls_what_it_has_learnt(tmp_path: Path) -> None:
    folder = learnt(tmp_path / "model")
    asked = [Ask(TALK[:1], tools=TOOLS, max_tokens=200)]
    here = replies(in_process(folder), asked)
    try:
        there = replies(served(folder, tmp_path / "home"), asked)
    finally:
        end_all(tmp_path / "home")
    for reply in (*here, *there):
        assert (reply.text, reply.calls, reply.finish) == (TALK[1].content, TALK[1].calls, "stop")
    assert here[0].completion_tokens == there[0].completion_tokens > 20
