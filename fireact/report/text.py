"""What both forms of the report say, terminal and page: the tables as text, and the difference in words."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fireact.stats import MCNEMAR, Contrast, p_value, verdict
from fireact.study.types import GUISES

PAIRS = {"both": "questions with good and bad ones", "only_good": "with good ones only",
         "only_bad": "with bad ones only", "train": "pairs to train on", "validation": "pairs held out"}
"""The counts of pairs in words, in their order."""
FEW = 4
"""Columns that a table of methods may have; for more, each is a row."""
_NEGATIVE = re.compile(r"(?<![^\s(])-(?=\.?\d)")
Summary = Mapping[str, Any]
"""What `evaluate.summarize` returns."""


@dataclass(frozen=True)
class Table:
    """A table as text: the first column names its row, all others hold numbers."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    texts: bool = False
    """Whether the others hold texts in place of numbers."""


@dataclass(frozen=True)
class KindRow:
    """Exact match on the questions of one kind."""

    kind: str
    n: int
    em: tuple[float | None, ...]
    """One value a guise, between 0 and 1."""


def by_guise(evaluation: Mapping[str, Any]) -> dict[str, Summary]:
    """Return the summaries of one dataset's evaluation by the names of their guises."""
    return {label: evaluation[guise] for guise, label in GUISES.items() if guise in evaluation}


def results_table(caption: str, summaries: Mapping[str, Summary]) -> Table:
    """Quality, effort and, where it is known, cost: one row a summary."""
    priced = any(summary["cost"] is not None for summary in summaries.values())
    head = ("", "n", "EM %", "F1 %", "finished %", "rounds", "tool calls", "tokens in / out", "seconds")
    rows = tuple((name, *_effort(summary), *([_dollars(summary["cost"])] if priced else []))
                 for name, summary in summaries.items())
    return Table(caption, (*head, *(["US$"] if priced else [])), rows)


def kind_rows(summaries: Mapping[str, Summary]) -> list[KindRow]:
    """Exact match by question kind, side by side."""
    parts = [summary["em_by_kind"] for summary in summaries.values()]
    kinds = sorted({kind for part in parts for kind in part})
    return [KindRow(kind, max(part[kind]["n"] for part in parts if kind in part),
                    tuple(part[kind]["em"] if kind in part else None for part in parts)) for kind in kinds]


def kinds_table(summaries: Mapping[str, Summary]) -> Table:
    """The same as a table."""
    rows = tuple((row.kind, str(row.n), *(percent(em) for em in row.em)) for row in kind_rows(summaries))
    return Table("EM % by kind of question", ("", "n", *summaries), rows)


def stops_table(summaries: Mapping[str, Summary]) -> Table:
    """How many episodes ended for which reason."""
    stops = sorted({stop for summary in summaries.values() for stop in summary["stops"]})
    rows = tuple((stop, *(str(summary["stops"].get(stop, 0)) for summary in summaries.values())) for stop in stops)
    return Table("Why episodes ended", ("", *summaries), rows)


def faults_table(evaluation: Mapping[str, Any]) -> Table:
    """What each fault of the tool costs each guise, on the same questions."""
    rows = []
    for guise, label in GUISES.items():
        for fault, by_guise in evaluation["faults"].items():
            if guise not in by_guise:
                continue
            summary, drop = by_guise[guise], by_guise[guise]["drop"]
            low, high = drop["ci95"]
            rows.append((f"{label}, {fault}", f"{summary['n']:,}", percent(evaluation[guise]["em"]),
                         percent(summary["em"], summary["em_se"]), f"{100 * drop['em']:+.1f}",
                         f"{100 * low:+.1f} to {100 * high:+.1f}", p_value(drop["p"])))
    head = ("", "n", "EM % sound", "EM % faulty", "change", "95% interval", "")
    return Table("Robustness to faults of the tool", head, tuple(rows))


def prices_table(evaluation: Mapping[str, Any]) -> Table | None:
    """What an episode of each guise costs at the list prices of other models, None where none were asked for."""
    rows = []
    for guise, label in GUISES.items():
        for name, cost in evaluation.get(guise, {}).get("priced", {}).items():
            error = "" if cost["se"] is None else f" ± {cost['se']:.6f}"
            rows.append((f"{label}, {name}", f"{cost['mean']:.6f}{error}", f"{cost['input']:.6f}",
                         f"{cost['output']:.6f}", f"{cost['calls']:.1f}"))
    head = ("", "US$ an episode", "of it in", "of it out", "calls")
    return Table("The recorded usage at list prices", head, tuple(rows)) if rows else None


def price_notes(evaluation: Mapping[str, Any]) -> list[str]:
    """Say what the prices of `prices_table` are, from which table and of which day."""
    costs = [cost for guise in GUISES for cost in evaluation.get(guise, {}).get("priced", {}).items()]
    return list(dict.fromkeys(f"{name}: {cost['words']}." for name, cost in costs))


def drops_evaluated(cells: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether a curation dropped the questions of its evaluation sets."""
    return bool(cells) and all("not_evaluated" in cell["dropped"] for cell in cells.values())


def contaminated(found: Mapping[str, Any], *, dropped: bool) -> list[str]:
    """Say which evaluation sets hold questions of the teacher's, a sentence a set, and what became of these."""
    fate = ("the filter not_evaluated drops them" if dropped else
            "right ones ARE trained on, for curate.filters does not name not_evaluated")
    return [f"{part['exact'] + part['near']} evaluated questions of {name} are among the training questions "
            f"({part['exact']} word for word, {part['near']} nearly); {fate}." for name, part in found.items()]


def funnel_table(cells: Mapping[str, Mapping[str, Any]]) -> Table:
    """What came in, what each filter dropped, in their order, and what was kept: one column a method."""
    funnel = list(cells.values())
    filters = list(dict.fromkeys(name for part in funnel for name in part["dropped"]))
    if len(cells) > FEW:
        return _long_funnel(cells, filters)
    lines = {"played": [part["played"] for part in funnel]}
    for name in filters:
        label = "dropped as duplicate" if name == "duplicate" else f"dropped by {name}"
        lines[label] = [part["dropped"].get(name, 0) for part in funnel]
    for name in ("kept", "train", "validation"):
        lines[name] = [part[name] for part in funnel]
    for name, label in PAIRS.items():
        if any(part.get("pairs") for part in funnel):
            lines[label] = [(part.get("pairs") or {}).get(name, 0) for part in funnel]
    rows = tuple((label, *(f"{count:,}" for count in counts)) for label, counts in lines.items())
    return Table("Trajectories kept for training", ("", *cells), rows)


def _long_funnel(cells: Mapping[str, Mapping[str, Any]], filters: Sequence[str]) -> Table:
    """The same with one row a method, for what has many."""
    head = ("", "played", *(f"- {name}" for name in filters), "kept", "train", "held out")
    rows = tuple((name, f"{part['played']:,}", *(f"{part['dropped'].get(cut, 0):,}" for cut in filters),
                  f"{part['kept']:,}", f"{part['train']:,}", f"{part['validation']:,}")
                 for name, part in cells.items())
    return Table("Trajectories kept for training", head, rows)


def difference(values: Mapping[str, Any]) -> str:
    """Say by how much fine-tuned is better than prompted, and whether that can be believed."""
    low, high = values["ci95"]
    return verdict(Contrast(values["em"], None, low, high, values["p"], MCNEMAR, values["n"]), "prompted", "Fine-tuned")


def training_facts(train: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the training took and reached, as names and values; what is not known is left out."""
    known = [("steps", "steps", "{:,}"), ("epochs", "epochs", "{:g}"), ("loss", "train_loss", "{:.3f}"),
             ("validation loss", "validation_loss", "{:.3f}"),
             ("margin of rewards", "validation_reward_margin", "{:.3f}"),
             ("share of held-out pairs ranked rightly", "validation_reward_accuracy", "{:.2f}"),
             ("tokens", "tokens", "{:,}"), ("of these trained on", "trained_tokens", "{:,}"),
             ("seconds", "seconds", "{:,.0f}"),
             ("tokens a second", "tokens_per_second", "{:,.0f}"), ("peak memory, MB", "peak_memory_mb", "{:,.0f}"),
             ("trainable parameters", "trainable_parameters", "{:,}"),
             ("peak learning rate", "peak_learning_rate", "{:g}"), ("cost, US$", "cost", "{:.2f}"),
             ("model", "model", "{}")]
    return [(label, form.format(train[name])) for label, name, form in known if train.get(name) is not None]


def minus(text: str) -> str:
    """Write the numbers below zero in a text with the minus sign, as the page does and a CSV does not."""
    return _NEGATIVE.sub("\N{MINUS SIGN}", text)


def percent(share: float | None, error: float | None = None) -> str:
    """Write a share between 0 and 1 as a percentage, with its standard error where there is one."""
    if share is None:
        return "-"
    return f"{100 * share:.1f}" if error is None else f"{100 * share:.1f} ± {100 * error:.1f}"


def _effort(summary: Summary) -> list[str]:
    return [f"{summary['n']:,}", percent(summary["em"], summary["em_se"]), percent(summary["f1"], summary["f1_se"]),
            f"{100 * summary['finished']:.0f}", f"{summary['rounds']:.1f}", f"{summary['tool_calls']:.1f}",
            _tokens(summary), _seconds(summary)]


def _tokens(summary: Summary) -> str:
    given, written = summary["prompt_tokens"], summary["completion_tokens"]
    return f"{given:,.0f} / {written:,.0f}" if given or written else "-"


def _dollars(cost: float | None) -> str:
    return "-" if cost is None else f"{cost:.4f}"


def _seconds(summary: Mapping[str, Any]) -> str:
    return "-" if summary.get("seconds") is None else f"{summary['seconds']:.1f}"
