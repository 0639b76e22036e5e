"""Conversations: OpenAI's chat files, sets of `messages` (`datasets`, TRL, axolotl), and ShareGPT.

All hold the same messages, those FireAct itself trains on: the question, then thoughts and actions by the assistant
with the observations as user messages between them, the assistant last.
"""

import json
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationInfo, field_validator

from fireact.errors import DataError
from fireact.examples import conversation
from fireact.formats.record import Turn
from fireact.jsonl import encode
from fireact.preferences import Preference
from fireact.strategy.calling import in_words, located_in_words
from fireact.strategy.tagged import as_openai
from fireact.toolspec import Call, ToolSpec
from fireact.types import Message, Trajectory

_SHAREGPT = {"system": "system", "user": "human", "assistant": "gpt"}
_ROLES = {"system": "system", "human": "user", "user": "user", "observation": "user", "tool": "user",
          "gpt": "assistant", "chatgpt": "assistant", "assistant": "assistant", "model": "assistant"}


class ChatFunction(BaseModel):
    """A function that is called, or that may be: `arguments` are JSON, or an object."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    arguments: str | dict[str, Any] = ""

    @field_validator("arguments")
    @classmethod
    def _given(cls, arguments: str | dict[str, Any]) -> str | dict[str, Any]:
        """Without what tables add: the arguments that other calls have (`datasets`)."""
        if isinstance(arguments, str):
            return arguments
        return {name: value for name, value in arguments.items() if value is not None}


class ChatTool(BaseModel):
    """A function as OpenAI wraps it."""

    function: ChatFunction


class ChatMessage(BaseModel):
    """One message; `weight` is 0 for a reply that is not learnt."""

    role: Literal["system", "user", "assistant", "tool"]
    tool_calls: list[ChatTool] | None = None
    content: str | None = Field(default=None, validate_default=True)
    weight: Literal[0, 1] | None = None

    @field_validator("content")
    @classmethod
    def _says_something(cls, content: str | None, told: ValidationInfo) -> str | None:
        if content is None and not told.data.get("tool_calls"):
            raise ValueError("a message has a text, or calls functions")
        return content


class ChatRecord(BaseModel):
    """One record of a file of messages."""

    messages: list[ChatMessage]
    tools: list[ChatTool] | None = None


class ShareGptMessage(BaseModel):
    """One message of ShareGPT."""

    role: Literal["system", "human", "user", "observation", "tool", "gpt", "chatgpt", "assistant", "model"] = Field(
        alias="from")
    value: str


class ShareGptRecord(BaseModel):
    """One record of a ShareGPT file."""

    conversations: list[ShareGptMessage]


def openai_record(trajectory: Trajectory) -> dict[str, Any]:
    """Return a trajectory as OpenAI's fine-tuning endpoint takes it: `{"messages": [{role, content, weight?}, ...]}`.

    The messages are what FireAct itself trains on, so the last is the assistant's; a reply that was refused has the
    weight 0, all others are learnt. Raises DataError for a trajectory that has no reply to learn from.
    """
    messages, learnt = conversation(trajectory)
    if not learnt:
        raise DataError(f"the trajectory {trajectory.id!r} of the method {trajectory.method!r} holds no reply to learn "
                        f"from (it ended with {trajectory.stop.value!r}); drop it, e.g. by the filter 'finished'")
    told = as_openai(messages, as_text=True)
    for number, message in enumerate(messages):
        if message.role == "assistant" and number not in learnt:
            told[number]["weight"] = 0
    return {"messages": told, **_offered(trajectory)}


def conversational_record(trajectory: Trajectory) -> dict[str, Any]:
    """Return a trajectory as `{"messages": [{role, content}, ...]}`, with itself as a text that trainers ignore."""
    return {"messages": as_openai(conversation(trajectory)[0]), **_offered(trajectory),
            "trajectory": encode(trajectory)}


def _offered(trajectory: Trajectory) -> dict[str, Any]:
    """The functions that the model was offered, where it was."""
    return {"tools": [spec.as_function() for spec in trajectory.tools]} if trajectory.tools else {}


def preference_record(preference: Preference) -> dict[str, Any]:
    """Return a pair as TRL's DPOTrainer takes it: `prompt`, `chosen`, `rejected`, each a list of `{role, content}`,
    and `tools` where functions are called.

    The prompt is all that both have in common, at least the question, and ends with what the assistant answers. TRL
    takes its loss on all of `chosen` and `rejected`, the observations in them too. Both trajectories stand beside it as
    texts, which trainers ignore.
    """
    chosen, rejected = (conversational_record(side)["messages"] for side in (preference.chosen, preference.rejected))
    shared = next((at for at, pair in enumerate(zip(chosen, rejected, strict=False)) if pair[0] != pair[1]),
                  min(len(chosen), len(rejected)))
    first = next(at for at in range(shared, 0, -1)
                 if all(at < len(side) and side[at]["role"] == "assistant" for side in (chosen, rejected)))
    return {"prompt": chosen[:first], "chosen": chosen[first:], "rejected": rejected[first:],
            **_offered(preference.chosen),
            "chosen_trajectory": encode(preference.chosen), "rejected_trajectory": encode(preference.rejected)}


def sharegpt_record(trajectory: Trajectory) -> dict[str, Any]:
    """Return a trajectory as `{"conversations": [{from, value}, ...]}`, with itself as a text that trainers ignore."""
    messages = [{"from": _SHAREGPT[message.role], "value": message.content}
                for message in in_words(conversation(trajectory)[0], trajectory.tools)]
    return {"conversations": messages, "trajectory": encode(trajectory)}


def chat_turns(record: ChatRecord) -> list[Turn]:
    """The turns of a record of messages; functions that are called are actions in words, one after the other."""
    messages = [Message(message.role, message.content or "", tuple(
        Call(each.function.name, given if isinstance(given := each.function.arguments, str) else json.dumps(given))
        for each in message.tool_calls or ())) for message in record.messages]
    offered = [ToolSpec(tool.function.name, tool.function.description or "", tool.function.parameters or {})
               for tool in record.tools or ()] or [_seen(call) for message in messages for call in message.calls]
    roles: dict[str, Any] = {"tool": "user"}
    return [Turn(roles.get(message.role, message.role), message.content, record.messages[at].weight != 0)
            for at, message in located_in_words(messages, offered)]


def _seen(call: Call) -> ToolSpec:
    """A function that nobody described, by how it is called."""
    return ToolSpec(call.name, "", {"properties": {name: {} for name in call.given or {}}})


def sharegpt_turns(record: ShareGptRecord) -> list[Turn]:
    """The turns of a ShareGPT record."""
    return chat_turns(ChatRecord.model_validate({"messages": [
        {"role": _ROLES[message.role], "content": message.value} for message in record.conversations]}))
