"""What a reply is, whichever engine makes it: the seed that it is drawn with, what ends it, and its text."""

import hashlib
import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from fireact.errors import ContextError
from fireact.render import end_of_turn
from fireact.requests import Ask


def seed(ask: Ask, prompt: Sequence[int]) -> int:
    """64 bits that depend on the episode and the prompt alone, not on what else is asked at the time."""
    label = f"{ask.episode.seed} {ask.episode.question_id} {prompt}" if ask.episode else str(prompt)
    return int.from_bytes(hashlib.blake2b(label.encode(), digest_size=8).digest(), "big")


def reply_ends(folder: Path, tokenizer: Any) -> set[int]:
    """The token ids that end a reply: those the model was published with, and what closes a turn in its template."""
    configs = [folder / "generation_config.json", folder / "config.json"]
    named = next((ends for file in configs if file.is_file()
                  if (ends := json.loads(file.read_text(encoding="utf-8")).get("eos_token_id")) is not None), None)
    ends = {tokenizer.eos_token_id, end_of_turn(tokenizer), *(named if isinstance(named, list) else [named])}
    return ends - {None}


def reply_text(tokenizer: Any, reply: Sequence[int], ends: Collection[int], stops: Sequence[str]) -> str:
    """The reply without what ended it."""
    text = tokenizer.decode([token for token in reply if token not in ends], skip_special_tokens=True)
    return text[: min([at for stop in stops if (at := text.find(stop)) >= 0], default=len(text))]


def need_room(name: str, prompt: int, reply: int, window: int) -> None:
    """Raise ContextError where a prompt and the longest reply, in tokens, exceed the window."""
    if prompt + reply > window:
        raise ContextError(f"a prompt of {prompt} tokens and a reply of up to {reply} exceed the window of "
                           f"{name}, {window} tokens; shorten the prompt, or lower model.max_tokens")
