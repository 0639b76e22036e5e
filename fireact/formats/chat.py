"""Conversations: OpenAI's chat files, sets of `messages` (`datasets`, TRL, axolotl), and ShareGPT.

All hold the same messages, those FireAct itself trains on: the question, then thoughts and actions by the assistant
with the observations as user messages between them, the assistant last.
"""

from typing import Any, Literal

from pydantic import BaseModel, Field

from fireact.errors import DataError
from fireact.examples import conversation
from fireact.formats.record import Turn
from fireact.jsonl import encode
from fireact.preferences import Preference
from fireact.types import Trajectory

_SHAREGPT = {"system": "system", "user": "human", "assistant": "gpt"}
_ROLES = {"system": "system", "human": "user", "user": "user", "observation": "user", "tool": "user",
          "gpt": "assistant", "chatgpt": "assistant", "assistant": "assistant", "model": "assistant"}


class ChatMessage(BaseModel):
    """One message; `weight` is 0 for a reply that is not learnt."""

    role: Literal["system", "user", "assistant"]
    content: str
    weight: Literal[0, 1] | None = None


class ChatRecord(BaseModel):
    """One record of a file of messages."""

    messages: list[ChatMessage]


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
    record: list[dict[str, Any]] = []
    for number, message in enumerate(messages):
        unlearnt = message.role == "assistant" and number not in learnt
        record.append({"role": message.role, "content": message.content, **({"weight": 0} if unlearnt else {})})
    return {"messages": record}


def conversational_record(trajectory: Trajectory) -> dict[str, Any]:
    """Return a trajectory as `{"messages": [{role, content}, ...]}`, with itself as a text that trainers ignore."""
    messages = [{"role": message.role, "content": message.content} for message in conversation(trajectory)[0]]
    return {"messages": messages, "trajectory": encode(trajectory)}


def preference_record(preference: Preference) -> dict[str, Any]:
    """Return a pair as TRL's DPOTrainer takes it: `prompt`, `chosen`, `rejected`, each a list of `{role, content}`.

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
            "chosen_trajectory": encode(preference.chosen), "rejected_trajectory": encode(preference.rejected)}


def sharegpt_record(trajectory: Trajectory) -> dict[str, Any]:
    """Return a trajectory as `{"conversations": [{from, value}, ...]}`, with itself as a text that trainers ignore."""
    messages = [{"from": _SHAREGPT[message.role], "value": message.content} for message in conversation(trajectory)[0]]
    return {"conversations": messages, "trajectory": encode(trajectory)}


def chat_turns(record: ChatRecord) -> list[Turn]:
    """The turns of a record of messages."""
    return [Turn(message.role, message.content, message.weight != 0) for message in record.messages]


def sharegpt_turns(record: ShareGptRecord) -> list[Turn]:
    """The turns of a ShareGPT record."""
    return chat_turns(ChatRecord.model_validate({"messages": [
        {"role": _ROLES[message.role], "content": message.value} for message in record.conversations]}))
