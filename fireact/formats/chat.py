"""Trajectories as conversations: what each turn is called in OpenAI's chat files, ShareGPT and `messages` sets."""

from typing import Any

from fireact.errors import DataError
from fireact.examples import conversation
from fireact.types import Trajectory


def openai_record(trajectory: Trajectory) -> dict[str, Any]:
    """Return a trajectory as OpenAI's fine-tuning endpoint takes it: `{"messages": [{role, content, weight?}, ...]}`.

    The messages are what FireAct itself trains on, so the last is the assistant's; a reply that was refused has the
    weight 0, all others are learnt. Raises DataError for a trajectory that has no reply to learn from.
    """
    messages, learnt = conversation(trajectory)
    if messages[-1].role != "assistant":
        raise DataError(f"the trajectory {trajectory.id!r} of the method {trajectory.method!r} holds no reply of the "
                        f"model (it ended with {trajectory.stop.value!r}); drop it, e.g. by the filter 'finished'")
    record: list[dict[str, Any]] = []
    for number, message in enumerate(messages):
        unlearnt = message.role == "assistant" and number not in learnt
        record.append({"role": message.role, "content": message.content, **({"weight": 0} if unlearnt else {})})
    return {"messages": record}
