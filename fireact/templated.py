"""What a tokenizer's chat template writes for a conversation."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fireact.errors import ConfigError
from fireact.strategy.tagged import as_openai, plain
from fireact.templates import chat_template
from fireact.toolspec import ToolSpec
from fireact.types import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase as Tokenizer

_DATE = "{% macro strftime_now(format) %}26 Jul 2024{% endmacro %}"
"""Put before a template that asks for today's date (SmolLM3): a prompt is the same every day."""
_FIXED = {"date_string": "26 Jul 2024", "enable_thinking": False}
"""What some templates would else fill in by themselves: today's date (Llama 3), a thinking block (Qwen 3)."""
_KNOWS_TOOLS = re.compile(r"{%-?[^%]*\btools\b")


def prepared(tokenizer: "Tokenizer", messages: Sequence[Message], tools: Sequence[ToolSpec]
             ) -> tuple[Sequence[Message], Sequence[ToolSpec]]:
    """A conversation as the tokenizer's template can write it: in words alone where that knows no functions.

    It has as many turns of the model, at other places.
    """
    if not tools or _KNOWS_TOOLS.search(chat_template(tokenizer)):
        return messages, tools
    return plain(messages, tools), ()


def harmless(tokenizer: "Tokenizer", content: str) -> str:
    """Break up control tokens in a message, so that a web page cannot forge a turn."""
    for token in tokenizer.all_special_tokens:
        if len(token) > 1:
            content = content.replace(token, f"{token[0]} {token[1:]}")
    return content


def template_text(tokenizer: "Tokenizer", messages: Sequence[Message], tools: Sequence[ToolSpec] = (),
                  ask: bool = False) -> str:
    """The whole text; with `ask` it ends with the opening of the model's turn. Raises ConfigError."""
    from jinja2 import TemplateError, TemplateSyntaxError

    offered = {"tools": [spec.as_function() for spec in tools]} if tools else {}
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
