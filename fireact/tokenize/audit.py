"""The audit of a training set, before its first step: which tokens are trained on, and what is wrong with which row."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import ConfigDict

from fireact.errors import DataError
from fireact.examples import ROLES
from fireact.options import Share
from fireact.tokenize.rows import Row


@dataclass(kw_only=True)
class Audit:
    """The share of all rows that may have a fault before the run is stopped; 1 allows it for all."""

    dropped: Share = 0.05
    """Left out because they are too long."""
    shortened: Share = 1.0
    """Too long, and observations lost their ends."""
    truncated: Share = 0.0
    """Too long, and cut at the end."""
    lost_final: Share = 0.0
    """Cut so that a part of the last action is lost."""
    unpaired: Share = 1.0
    """Left out because the other side of their pair is; that one has a fault of its own."""
    untrained: Share = 0.0
    """Without a single token that is trained on; they are left out."""
    broken_prompt: Share = 0.0
    """Whose prompts differ from what the student sees when it plays."""
    rewritten: Share = 1.0
    """Whose template writes turns anew once others follow (Qwen 3 drops their thinking). Here, and when FireAct plays,
    each stands as it was written; a chat server that renders the whole conversation shows another text."""
    doubled_bos: Share = 0.0
    """That begin with two tokens of beginning, as where a template writes one and the tokenizer another."""
    open_ends: Share = 0.0
    """With a turn that nothing ends, so that the student would not learn to stop."""

    __pydantic_config__: ClassVar[ConfigDict] = {"extra": "forbid"}


FAULTS = {
    "dropped": "left out as too long",
    "shortened": "shortened, too long",
    "truncated": "cut at the end, too long",
    "lost_final": "of these without the end of their last action",
    "untrained": "left out, nothing to train on",
    "unpaired": "left out with the other side of its pair",
    "broken_prompt": "prompt differs from that when playing",
    "rewritten": "template writes past turns anew",
    "doubled_bos": "token of beginning doubled",
    "open_ends": "a turn that nothing ends",
}
"""Each fault in words, in the order in which they are told."""


def summarize(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the numbers of a training set; `faults` has the names of all rows that have each."""
    used = [row.example for row in rows if not row.left_out]
    lengths = sorted(len(example.ids) for example in used)
    return {
        "rows": len(rows), "used": len(used), "tokens": sum(lengths),
        "trained_tokens": sum(sum(weight > 0 for weight in example.mask[1:]) for example in used),
        "length": {"median": lengths[len(lengths) // 2], "longest": lengths[-1]} if lengths else {},
        "by_role": _by_role(rows),
        "faults": {fault: [row.example.id for row in rows if _has(row, fault)] for fault in FAULTS},
        "left_out": {row.example.id: row.left_out for row in rows if row.left_out},
    }


def _has(row: Row, fault: str) -> bool:
    if fault in ("dropped", "untrained"):
        mine = bool(row.left_out) and not row.unpaired
        return mine and (any(row.example.mask[1:]) == (fault == "dropped"))
    return bool(getattr(row, fault))


def _by_role(rows: Sequence[Row]) -> dict[str, dict[str, int]]:
    """Tokens, and those trained on, by what they are part of."""
    found = {name: {"tokens": 0, "trained": 0} for name in ROLES.values()}
    for row in rows:
        if not row.left_out:
            for role, weight in zip(row.example.roles, row.example.mask, strict=True):
                found[ROLES[role]]["tokens"] += 1
                found[ROLES[role]]["trained"] += weight > 0
    return {name: counts for name, counts in found.items() if counts["tokens"]}


def require(summary: dict[str, Any], allowed: Audit) -> None:
    """Raise DataError for the first fault that more rows have than are allowed, or where no row is left."""
    rows = summary["rows"]
    for fault, words in FAULTS.items():
        names, share = summary["faults"][fault], getattr(allowed, fault)
        if len(names) > share * rows:
            raise DataError(f"the audit found {len(names)} of {rows} training rows with a fault ({words}), e.g. "
                            f"{names[0]!r}; at most {share:.0%} may have it: mend the data or the template, or allow "
                            f"more by train.audit.{fault}={_enough(len(names), rows)}")
    if not summary["used"]:
        example = "".join(f", e.g. {name!r}: {why}" for name, why in [*summary["left_out"].items()][:1])
        raise DataError(f"none of {rows} training rows can be used{example}; expected at least one: look at the funnel "
                        "of stage=curate, or raise train.max_length if the model allows")


def _enough(count: int, rows: int) -> str:
    """The least share in hundredths that allows `count` of `rows`."""
    return f"{-(-100 * count // rows) / 100:g}"
