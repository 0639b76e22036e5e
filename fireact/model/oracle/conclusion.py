"""How the answer follows from the values that a plan's hops have read, in words."""

from fireact.plan import Plan, conclude, magnitude

UNKNOWN = "unknown"


def conclusion(plan: Plan, values: list[str]) -> tuple[str, str]:
    """Say in words how the answer follows from the values, and return it too: `unknown` where they do not compare."""
    try:
        reason, answer = _reason(plan, values), conclude(plan, values)
    except ValueError:
        return "These cannot be compared.", UNKNOWN
    told = f"the answer is {answer.removesuffix('.')}."
    return f"{reason}, so {told}" if reason else f"So {told}", answer


def _reason(plan: Plan, values: list[str]) -> str:
    if plan.rule in ("last", "given"):
        return ""
    if plan.rule in ("largest", "smallest"):
        compared = _short(values[-len(plan.choices):])
        listed = ". ".join(f"{choice}: {value}" for choice, value in zip(plan.choices, compared, strict=True))
        best = compared[plan.choices.index(conclude(plan, values))]
        return f"{listed}. The {_SUPERLATIVES[_is_date(values[-1]), plan.rule]} is {best}"
    first, second = values[-2:]
    if plan.rule == "same":
        return f"{first} is {'' if first == second else 'not '}the same as {second}"
    holds = "" if conclude(plan, values) == "yes" else "not "
    comparative = _COMPARATIVES[_is_date(second), plan.rule]
    first, second = _short([first, second])
    return f"{first} is {holds}{comparative} {second}"


_SUPERLATIVES = {(False, "largest"): "largest", (False, "smallest"): "smallest",
                 (True, "largest"): "latest", (True, "smallest"): "earliest"}
_COMPARATIVES = {(False, "larger"): "more than", (False, "smaller"): "less than",
                 (True, "larger"): "after", (True, "smaller"): "before"}


def _is_date(value: str) -> bool:
    """Whether a value is '26 January 1950' rather than a number."""
    magnitude(value)
    return " " in value and value[-4:].isdigit()


def _short(values: list[str]) -> list[str]:
    """Dates by their years, where these tell them apart."""
    years = [value[-4:] for value in values]
    return years if all(map(_is_date, values)) and len(set(years)) == len(values) else values
