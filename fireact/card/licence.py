"""Which licence a known base model has, and what follows from it for those who give a fine-tuned one away.

Licences are called by the hub's names (https://huggingface.co/docs/hub/repositories-licenses).
"""

import re

UNKNOWN = "unknown"
_LLAMA = ("The licence asks for three things when this is given away: a copy of the licence with it, the attribution "
          "notice in a text file named Notice, and the acceptable use policy kept.")
_BUILT = (f"{_LLAMA} It also asks for \"Built with Llama\" to be shown, and for a name that begins with \"Llama\".")
_KNOWN = (
    (r"meta-llama/(Meta-)?Llama-3\.3-", "llama3.3"),
    (r"meta-llama/(Meta-)?Llama-3\.2-", "llama3.2"),
    (r"meta-llama/(Meta-)?Llama-3\.1-", "llama3.1"),
    (r"meta-llama/Meta-Llama-3-", "llama3"),
    (r"meta-llama/Llama-2-", "llama2"),
    (r"codellama/CodeLlama-", "llama2"),
    (r"HuggingFaceTB/SmolLM[23]-", "apache-2.0"),
    # The 3B and 72B of Qwen2.5 have licences of their own.
    (r"Qwen/Qwen2\.5-(0\.5B|1\.5B|7B|14B|32B)(-|$)", "apache-2.0"),
    (r"Qwen/Qwen3-", "apache-2.0"),
)
_FOLLOWS = {
    "llama2": f"The base is under the Llama 2 Community License. {_LLAMA}",
    "llama3": f"The base is under the Meta Llama 3 Community License. {_BUILT}",
    "llama3.1": f"The base is under the Llama 3.1 Community License. {_BUILT}",
    "llama3.2": f"The base is under the Llama 3.2 Community License. {_BUILT}",
    "llama3.3": f"The base is under the Llama 3.3 Community License. {_BUILT}",
    "apache-2.0": "The base is under the Apache License 2.0: its copyright notices stay, the licence comes with it, "
                  "and changes are stated, as this card does.",
}


def of_base(name: str) -> str:
    """The licence of a base model by its id on the hub, UNKNOWN for one that is not in the table."""
    return next((licence for pattern, licence in _KNOWN if re.match(pattern, name)), UNKNOWN)


def follows(licence: str, base: str) -> str:
    """What somebody who gives the model away has to do, in one or two sentences."""
    of = of_base(base)
    if of == UNKNOWN:
        return "The licence of the base is not known here; look it up before you give this model away."
    stated = "" if licence == of else f" This model is given under `{licence}`, as its maker says."
    return _FOLLOWS[of] + stated
