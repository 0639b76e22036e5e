"""Turn a conversation into token ids and a loss mask: one function, used by training and by generation.

A conversation is cut into pieces: what the chat template writes around the turns, and what the assistant wrote.
Pieces are tokenised apart, so the ids of a prompt are exactly a prefix of the training ids of the same conversation.
The mask is above 0 on the assistant's own text, or on the end of it that is asked for, and on what ends its turn; it
is 0 elsewhere. The ids never depend on the mask.

What ends a turn is the special token that the template closes it with. Where a template has none (FireAct's alpaca
text), it is the word `Observation:` that follows the turn, at which the model is stopped when it plays, and the
end-of-text token behind the last turn.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from fireact.errors import ConfigError, DataError
from fireact.templated import harmless, prepared, template_text
from fireact.toolspec import Call, ToolSpec
from fireact.types import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase as Tokenizer

_MARK = "-the-words-of-a-turn-"


_OBSERVED = re.compile(r"\s*Observation:")


@dataclass(frozen=True)
class Piece:
    """One part of a rendered conversation, in text and tokens."""

    text: str
    turn: int | None = None
    """The index of the assistant message this is part of; None: what the model is shown."""
    closing: bool = False
    """Whether this is what the template writes after the assistant's own text."""
    ids: list[int] = field(default_factory=list)
    ends: int = 0
    """Of a closing: how many of its tokens it takes to end the turn. 0: nothing ends it."""


def render(tokenizer: "Tokenizer", messages: Sequence[Message], *, trained: Mapping[int, int] | None = None,
           weights: Mapping[int, float] | None = None, ends: bool = True) -> tuple[list[int], list[float]]:
    """Return the ids of a conversation and their loss mask, both of the same length.

    `trained` maps the index of an assistant message that is trained on to the character of its text from which on it
    is, 0 for all of it; None means all of all of them. A token that reaches across such a character is trained on: the
    text after it cannot be written without that token. `weights` gives what the mask is there, 1 where it says
    nothing; `ends` whether what ends a turn is trained too.
    Raises DataError for a conversation that no template can hold, ConfigError for a template that cannot be cut, and
    for a tokenizer that cannot tell which characters its tokens stand for where a text is trained on in part.
    """
    if trained is None:
        trained = {turn: 0 for turn, message in enumerate(messages) if message.role == "assistant"}
    pieces = cut(tokenizer, messages)
    return ([token for piece in pieces for token in piece.ids],
            mask(tokenizer, messages, pieces, trained, weights or {}, ends=ends))


def mask(tokenizer: "Tokenizer", messages: Sequence[Message], pieces: Sequence[Piece], trained: Mapping[int, int],
         weights: Mapping[int, float], *, ends: bool) -> list[float]:
    """Return the loss mask of the `pieces` of a conversation; see `render`."""
    result: list[float] = []
    for piece in pieces:
        turn, size = piece.turn, len(piece.ids)
        if turn is None or turn not in trained:
            result += [0] * size
            continue
        weight = weights.get(turn, 1)
        if piece.closing:
            length = piece.ends if ends else 0
            result += [weight] * length + [0] * (size - length)
        else:
            result += [weight * inside for inside in since(tokenizer, messages[turn], piece, trained[turn])]
    return result


def since(tokenizer: "Tokenizer", message: Message, piece: Piece, start: int) -> list[int]:
    """Tell which tokens of an assistant's own text hold anything of it from the character `start` on: 1, else 0.

    What it calls begins behind its content. Raises ConfigError for a tokenizer that does not know.
    """
    if not start:
        return [1] * len(piece.ids)
    if message.calls:
        words = harmless(tokenizer, message.content.strip())
        return _from(tokenizer, piece.text, piece.text.find(words) + len(words))
    rest = harmless(tokenizer, message.content[start:].rstrip())
    return _from(tokenizer, piece.text, len(piece.text) - len(rest))


def knows_characters(tokenizer: "Tokenizer") -> bool:
    """Whether a tokenizer can tell which characters its tokens stand for."""
    from transformers import PreTrainedTokenizerFast

    return isinstance(tokenizer, PreTrainedTokenizerFast)


def render_prompt(tokenizer: "Tokenizer", messages: Sequence[Message], prime: str = "",
                  tools: Sequence[ToolSpec] = ()) -> list[int]:
    """Return the ids after which the model is to write the next assistant turn, which begins with `prime`.

    The prime is written as the template writes the beginning of a turn, e.g. behind a space (Llama 2), and without the
    white space at its ends: what follows begins with its own. Raises what `render` raises.
    """
    messages, tools = prepared(tokenizer, messages, tools)
    if prime.strip():
        primed = _texts(tokenizer, [*messages, Message("assistant", prime)], tools)
        texts = primed[: next(at for at, piece in enumerate(primed) if piece.turn == len(messages) and piece.closing)]
    else:
        texts = _texts(tokenizer, messages, tools, ask=True)
    return [token for piece in texts for token in _tokenize(tokenizer, piece.text)]


def cut(tokenizer: "Tokenizer", messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> list[Piece]:
    """Return the pieces of a whole conversation that is `prepared`, tokenised. Raises what `render` raises."""
    pieces = [replace(piece, ids=_tokenize(tokenizer, piece.text)) for piece in _texts(tokenizer, messages, tools)]
    special = set(tokenizer.all_special_ids)
    return [replace(piece, ends=_closing_length(piece, special)) if piece.closing else piece for piece in pieces]


def rewrites(tokenizer: "Tokenizer", messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> bool:
    """Whether the template writes a turn of the model anew once others follow it."""
    messages, tools = prepared(tokenizer, messages, tools)
    whole = template_text(tokenizer, messages, tools)
    return any(not whole.startswith(template_text(tokenizer, messages[: turn + 1], tools))
               for turn, message in enumerate(messages[:-1]) if message.role == "assistant")


def end_of_turn(tokenizer: "Tokenizer") -> int | None:
    """Return the special token that closes an assistant turn, or None where the template has none."""
    closing = _segments(tokenizer, [Message("user", "a"), Message("assistant", "b")])[-1]
    return _first_special(tokenizer, closing.text)


def _texts(tokenizer: "Tokenizer", messages: Sequence[Message], tools: Sequence[ToolSpec] = (),
           ask: bool = False) -> list[Piece]:
    """The pieces by their texts, each turn with what ends it."""
    found = _segments(tokenizer, messages, tools, ask)
    result: list[Piece] = []
    for number, piece in enumerate(found):
        if not piece.closing or _first_special(tokenizer, piece.text) is not None:
            result.append(piece)
            continue
        following = found[number + 1] if number + 1 < len(found) else None
        observed = _OBSERVED.match(following.text) if following and not piece.text else None
        if following is None:
            result.append(replace(piece, text=piece.text + str(tokenizer.eos_token or "")))
        elif observed:
            found[number + 1] = replace(following, text=following.text[observed.end():])
            result.append(replace(piece, text=observed[0]))
        else:
            result.append(piece)
    return result


def _segments(tokenizer: "Tokenizer", messages: Sequence[Message], tools: Sequence[ToolSpec] = (),
              ask: bool = False) -> list[Piece]:
    """Cut the rendered conversation; with `ask` it ends with the opening of an assistant turn."""
    _check(messages)
    messages = [replace(message, content=harmless(tokenizer, message.content), calls=tuple(
        Call(harmless(tokenizer, call.name), harmless(tokenizer, call.arguments)) for call in message.calls))
                for message in messages]
    segments, done = [], ""
    for turn, message in enumerate(messages):
        if message.role != "assistant":
            continue
        prompt = template_text(tokenizer, messages[:turn], tools, ask=True)
        whole = template_text(tokenizer, messages[: turn + 1], tools)
        written = _rest(whole, prompt)
        end = (_end_of_calls(tokenizer, messages[:turn], tools, written) if message.calls else
               _end_of_words(written, message.content))
        segments += [Piece(_added(tokenizer, messages[:turn], tools, prompt, done)), Piece(written[:end], turn),
                     Piece(written[end:], turn, True)]
        done = whole
    if ask or messages[-1].role != "assistant":
        segments.append(Piece(_added(tokenizer, messages, tools, template_text(tokenizer, messages, tools, ask), done)))
    return segments


def _end_of_calls(tokenizer: "Tokenizer", before: Sequence[Message], tools: Sequence[ToolSpec], written: str) -> int:
    """Where calls end in what the template wrote for a turn: before what it closes any turn of the model with."""
    closing = template_text(tokenizer, [*before, Message("assistant", _MARK)], tools).rpartition(_MARK)[2]
    if closing and not written.endswith(closing):
        raise ConfigError(f"the chat template ends a turn that calls functions with {written[-20:]!r} and others with "
                          f"{closing!r}; set strategy.wire=text")
    return len(written) - len(closing)


def _added(tokenizer: "Tokenizer", messages: Sequence[Message], tools: Sequence[ToolSpec], text: str, done: str) -> str:
    """What `text`, the rendered `messages`, adds to what was rendered up to their last assistant turn.

    Qwen 3 drops the (empty) thinking of a turn once another one follows; here it stays, as where the turn was written.
    """
    said = max((turn for turn, message in enumerate(messages) if message.role == "assistant"), default=None)
    if said is None or text.startswith(done):
        return _rest(text, done)
    marked = [*messages[:said], replace(messages[said], content=_MARK), *messages[said + 1:]]
    ask = text != template_text(tokenizer, messages, tools)
    closing = template_text(tokenizer, marked[: said + 1], tools).rpartition(_MARK)[2]
    return _rest(template_text(tokenizer, marked, tools, ask).rpartition(_MARK)[2], closing)


def _check(messages: Sequence[Message]) -> None:
    roles = [message.role for message in messages if message.role != "system"]
    if not roles or roles[0] != "user":
        raise DataError(f"a conversation of roles {[message.role for message in messages]} cannot be rendered; "
                        "it begins with a user message, after at most a system message")


def _rest(text: str, prefix: str) -> str:
    if not text.startswith(prefix):
        at = next((i for i, (a, b) in enumerate(zip(text, prefix, strict=False)) if a != b), len(text))
        raise ConfigError(f"the chat template rewrites earlier turns (it writes {text[at:at + 40]!r} where it had "
                          f"written {prefix[at:at + 40]!r}), so a trained text would not begin with its prompt; "
                          "put a chat_template.jinja that only appends into the model's folder, or use another model")
    return text[len(prefix):]


def _end_of_words(written: str, content: str) -> int:
    """Where the assistant's own text ends in what the template wrote for its turn."""
    words = content.strip()
    start = written.find(words)
    if start < 0:
        raise ConfigError(f"the chat template changes the assistant's words {words[:40]!r} into {written[:40]!r}; "
                          "put a chat_template.jinja that writes them as they are into the model's folder")
    return start + len(words)


def _tokenize(tokenizer: "Tokenizer", text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False).input_ids) if text else []


def _from(tokenizer: "Tokenizer", text: str, start: int) -> list[int]:
    """The mask of a text's tokens: 1 on those that hold any of its characters from `start` on."""
    if not knows_characters(tokenizer):
        raise ConfigError(f"{type(tokenizer).__name__} cannot tell where in a text its tokens stand, so no part of a "
                          "turn can be trained on; choose train.loss=assistant, or a model with a tokenizer.json")
    offsets = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    return [int(end > start) for _, end in offsets]


def _closing_length(closing: Piece, special: set[int]) -> int:
    """How many tokens it takes to close a turn: up to the end-of-turn token, not the line break after it."""
    known = next((at + 1 for at, token in enumerate(closing.ids) if token in special), 0)
    return known or (len(closing.ids) if _OBSERVED.match(closing.text) else 0)


def _first_special(tokenizer: "Tokenizer", text: str) -> int | None:
    special = set(tokenizer.all_special_ids)
    return next((token for token in _tokenize(tokenizer, text) if token in special), None)
