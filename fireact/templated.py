"""What a tokenizer's chat template writes for a conversation."""

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from fireact.errors import ConfigError
from fireact.strategy.tagged import as_openai, in_tags, plain
from fireact.templates import chat_template
from fireact.toolspec import ToolSpec, text_argument
from fireact.types import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase as Tokenizer

_DATE = "{% macro strftime_now(format) %}26 Jul 2024{% endmacro %}"
"""Put before a template that asks for today's date (SmolLM3): a prompt is the same every day."""
_FIXED = {"date_string": "26 Jul 2024", "enable_thinking": False}
"""What some templates would else fill in by themselves: today's date (Llama 3), a thinking block (Qwen 3)."""
_PROBE = ToolSpec("a_function_to_try", "", text_argument("words", ""))
_THOUGHT = "a thought to try"


def prepared(tokenizer: "Tokenizer", messages: Sequence[Message], tools: Sequence[ToolSpec]
             ) -> tuple[Sequence[Message], Sequence[ToolSpec]]:
    """A conversation as the tokenizer's template can write it, in as many turns of the model, at other places.

    In words alone where the template knows no functions; with those turns in words that it would lose a part of, or
    refuse: SmolLM3's writes no calls, Llama 3's and Mistral's none behind a thought, Llama 3's not two at once.
    """
    if not tools:
        return messages, tools
    template = chat_template(tokenizer)
    if not _writes_tools(tokenizer, template):
        return plain(messages, tools), ()
    shapes = {_shape(message) for message in messages if message.calls}
    native = {shape for shape in shapes if _writes_calls(tokenizer, template, *shape)}
    return in_tags(messages, lambda message: _shape(message) in native), tools


def _shape(message: Message) -> tuple[bool, int]:
    """Whether calls have a thought before them, and whether they are one, or several (2)."""
    return bool(message.content.strip()), min(len(message.calls), 2)


# Each is asked for every prompt; a tokenizer's template may be exchanged.
@lru_cache(maxsize=8)
def _writes_tools(tokenizer: "Tokenizer", template: str) -> bool:
    """Whether the template tells of functions."""
    return _writes(tokenizer, [Message("user", "")], [_PROBE.name])


@lru_cache(maxsize=32)
def _writes_calls(tokenizer: "Tokenizer", template: str, thought: bool, count: int) -> bool:
    """Whether the template writes all of a turn of this shape, and of the results behind it."""
    given, seen = ([f"{kind} to try {number}" for number in range(count)] for kind in ("argument", "result"))
    turn = Message("assistant", _THOUGHT if thought else "", tuple(map(_PROBE.call, given)))
    return _writes(tokenizer, [Message("user", ""), turn, *(Message("tool", text) for text in seen)],
                   [*([_THOUGHT] if thought else []), *given, *seen])


def _writes(tokenizer: "Tokenizer", messages: Sequence[Message], texts: Sequence[str]) -> bool:
    """Whether the texts stand in what the template writes for a conversation that it may refuse."""
    try:
        text = template_text(tokenizer, messages, [_PROBE])
    except ConfigError:
        return False
    return all(each in text for each in texts)


def harmless(tokenizer: "Tokenizer", content: str) -> str:
    """Break up control tokens in a message, so that a web page cannot forge a turn."""
    return _control(tokenizer).sub(lambda token: f"{token[0][0]} {token[0][1:]}", content)


@lru_cache(maxsize=2)
def _control(tokenizer: "Tokenizer") -> re.Pattern[str]:
    """The control tokens of more than one letter, those without a role of their own (Mistral's [INST]) too."""
    added = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    tokens = sorted({*added, *map(str, tokenizer.all_special_tokens)}, key=len, reverse=True)
    return re.compile("|".join(re.escape(token) for token in tokens if len(token) > 1) or "(?!)")


def template_text(tokenizer: "Tokenizer", messages: Sequence[Message], tools: Sequence[ToolSpec] = (),
                  ask: bool = False) -> str:
    """The whole text; with `ask` it ends with the opening of the model's turn. Raises ConfigError."""
    from jinja2 import TemplateError, TemplateSyntaxError

    functions = json.dumps([spec.as_function() for spec in tools], ensure_ascii=False)
    offered = {"tools": json.loads(harmless(tokenizer, functions))} if tools else {}
    try:
        return str(tokenizer.apply_chat_template(as_openai(messages), tokenize=False, add_generation_prompt=ask,
                                                 chat_template=_DATE + chat_template(tokenizer), **offered, **_FIXED))
    except TemplateSyntaxError as error:
        raise ConfigError(f"the chat template is no Jinja: {error.message} (line {error.lineno}); mend it in the "
                          "model's folder, or set model.template=react or alpaca") from None
    except TemplateError as error:
        if messages[0].role != "system" or len(messages) < 2:
            raise ConfigError(f"the chat template refuses the roles {[message.role for message in messages]}: {error}; "
                              "use a model whose template takes user and assistant turns") from None
        return template_text(tokenizer, _merged(messages), tools, ask)


def _merged(messages: Sequence[Message]) -> list[Message]:
    """Put the system text into the first user message, for templates that know no system role."""
    system, user, *rest = messages
    return [Message("user", f"{system.content}\n\n{user.content}"), *rest]
