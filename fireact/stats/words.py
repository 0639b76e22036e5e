"""What the numbers say, in sentences; what cannot be told apart is called so."""

from dataclasses import dataclass

from fireact.stats.curve import Needed, Outside, Samples
from fireact.stats.paired import ALPHA, MCNEMAR, Contrast
from fireact.stats.power import POWER, detectable


@dataclass(frozen=True)
class Measure:
    """How differences of a measure are written."""

    unit: str
    factor: float = 1.0
    """What a difference is multiplied by before it is written."""
    more: str = "higher"
    less: str = "lower"


EM = Measure("points of EM", 100, "better", "worse")
F1 = Measure("points of F1", 100, "better", "worse")


def verdict(contrast: Contrast, first: str, second: str, measure: Measure = EM) -> str:
    """Say by how much `second` is above `first`, and whether that can be believed.

    Both are called not distinguishable wherever `Contrast.distinguishable` is false; then the sentence goes on with how
    small a difference these questions could have shown. It begins with `second`.
    """
    points = f"{_amount(contrast.value, measure)} {measure.unit} ({_evidence(contrast, measure)})"
    word = measure.more if contrast.value > 0 else measure.less
    if contrast.distinguishable:
        return f"{second} is {word} than {first}: {points}."
    said = [f"{second} and {first} are not distinguishable: {points}."]
    if contrast.low is not None and contrast.high is not None and not contrast.low <= 0 <= contrast.high:
        among = (f"not surely so among {contrast.family} contrasts" if contrast.p < ALPHA
                 else "on too few questions to be sure")
        said.append(f"{second} looks {word} than {first}, but {among}.")
    return " ".join([*said, *_shown(contrast, measure)])


def samples_needed(needed: Needed, measure: Measure = EM) -> str:
    """Say how many training samples a target takes, with the interval and what lies outside of it."""
    within = f"{needed.sizes[0]:,} to {needed.sizes[-1]:,} samples were measured, n = {needed.n}"
    target = f"{_number(needed.target, measure)} {measure.unit}"
    if isinstance(needed.samples, Outside):
        begin = f"{target}: {needed.samples.value}"
    else:
        begin = f"{target}: about {_count(needed.samples)} samples"
    return f"{begin} (95% interval from {_end(needed.low)} to {_end(needed.high)}; {within})."


def p_value(p: float) -> str:
    """Write a p value with as many digits as mean something."""
    if p < 0.001:
        return "p < 0.001"
    return f"p = {p:.3f}" if p < 0.1 else f"p = {p:.2f}"


def _shown(contrast: Contrast, measure: Measure) -> list[str]:
    """How small a true difference these questions could have shown, as a sentence; none where it is not known."""
    smallest = detectable(contrast)
    if smallest is not None:
        return [f"A true difference of {_number(smallest, measure)} {measure.unit} or more would have been found with "
                f"{100 * POWER:.0f}% power."]
    if contrast.test == MCNEMAR and contrast.better is not None:
        return [f"So few questions show no difference with {100 * POWER:.0f}% power."]
    return []


def _evidence(contrast: Contrast, measure: Measure) -> str:
    said = [p_value(contrast.p), f"n = {contrast.n}"]
    if contrast.adjusted is not None and contrast.family > 1:
        said[1:1] = [f"by Holm among {contrast.family} contrasts {p_value(contrast.adjusted)}"]
    if contrast.low is None or contrast.high is None:
        return ", ".join(["no interval", *said])
    return ", ".join([f"95% interval {_amount(contrast.low, measure)} to {_amount(contrast.high, measure)}", *said])


def _amount(value: float, measure: Measure) -> str:
    number = _number(abs(value), measure)
    return ("-" if value < 0 else "+") + number


def _number(value: float, measure: Measure) -> str:
    """One digit behind the point, or three that say something where it is small."""
    scaled = value * measure.factor
    return f"{scaled:,.1f}" if measure.factor != 1 or abs(scaled) >= 10 or scaled == 0 else f"{scaled:.3g}"


def _count(samples: float) -> str:
    """Two digits that say something."""
    return f"{float(f'{samples:.2g}'):,.0f}"


def _end(samples: Samples) -> str:
    return {Outside.SMALLEST: "the smallest size", Outside.BEYOND: "beyond the largest size"}[samples] \
        if isinstance(samples, Outside) else _count(samples)
