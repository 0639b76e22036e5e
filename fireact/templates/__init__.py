"""Chat templates of our own, for students that are not asked in the one their tokenizer has.

    python main.py model=llama2_7b model.template=alpaca

| name | what is written |
|---|---|
| auto | the tokenizer's own chat template; `react` where it has none, as base models have |
| chat | the tokenizer's own, which must be there |
| alpaca | FireAct's one text: an instruction, then thoughts, actions and observations without roles |
| react | plain lines, each turn of the model closed by the end-of-text token |

They are Jinja chat templates like a tokenizer's own, so that whatever serves the student renders it alike.
"""

from pathlib import Path
from typing import Any, Literal

from fireact.errors import ConfigError

Template = Literal["auto", "chat", "alpaca", "react"]


def chat_template(tokenizer: Any, name: Template = "auto") -> str:
    """Return the Jinja text by which `tokenizer` is to render conversations. Raises ConfigError where it has none."""
    own = tokenizer.chat_template
    if name == "chat" and own is None:
        raise ConfigError("model.template=chat, and the model's tokenizer has no chat template; choose "
                          "model.template=react or alpaca, or put a chat_template.jinja into the model's folder")
    if own is not None and name in ("auto", "chat"):
        return str(own)
    text = (Path(__file__).parent / f"{'alpaca' if name == 'alpaca' else 'react'}.jinja").read_text(encoding="utf-8")
    # Whether a text begins with the token of beginning is known to the tokenizer, not to its templates.
    begins = tokenizer("").input_ids[:1] == [tokenizer.bos_token_id]
    return f"{{% set begin = {str(tokenizer.bos_token) if begins else ''!r} %}}{text}"
