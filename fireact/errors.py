"""Every failure FireAct knows, named by the boundary where it arose.

The text of each carries the value that was met, what was expected, and how to mend it, in one sentence:
`main.py` prints it as it is and exits with status 2.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class FireActError(Exception):
    """The root of all failures that have a sentence of their own."""


class ConfigError(FireActError):
    """The configuration asks for something that does not exist or does not fit together."""


class DataError(FireActError):
    """A file or record of a dataset, corpus or store cannot be read."""


class NewerVersion(FireActError):
    """A file or record was written by a newer FireAct."""


class FormatError(FireActError):
    """A model's reply does not follow the grammar; the text is sent back to the model."""


class ToolError(FireActError):
    """A tool cannot do what it was asked; the text is shown to the model."""


class ToolUnavailable(FireActError):
    """A tool could not be reached, or its quota is used up: the question is played again another time."""


class ProviderError(FireActError):
    """A model call failed: endpoint, key, quota, or a reply that makes no sense."""


class FilterError(FireActError):
    """The provider's content filter refused a request, or cut off its reply."""


class BudgetExceeded(FireActError):
    """A cap on money, tokens or calls is reached: the call is not made, and what was done is kept."""


class ContextError(FireActError):
    """The prompt and the longest allowed reply do not fit into the model's window."""


def first_line(error: BaseException) -> str:
    """The first line of an error, without a full stop; its kind where it says nothing."""
    return (str(error).strip() or type(error).__name__).split("\n")[0].rstrip(".")


def suggest(value: str, known: Iterable[str]) -> str:
    """Return ' (did you mean X?)' for the known name nearest to `value`, or ' (known: ...)' where none is near."""
    names = sorted(set(known))
    near = get_close_matches(value, names, n=1, cutoff=0.5)
    if near:
        return f" (did you mean {near[0]}?)"
    return f" (known: {', '.join(names)})" if names else ""
