"""The audit of a training set as tables."""

from collections.abc import Mapping
from typing import Any

from fireact.report.text import Table, percent
from fireact.tokenize.audit import FAULTS

SHOWN = 3
"""Names of rows with a fault that are shown; all are in audit.json."""


def audit_tables(audit: Mapping[str, Any]) -> list[Table | str]:
    """Which tokens are trained on, by what they are part of, and which rows have which fault."""
    rows = tuple((name, f"{part['tokens']:,}", f"{part['trained']:,}", percent(part["trained"] / part["tokens"]))
                 for name, part in audit["by_role"].items())
    whole = ("all", f"{audit['tokens']:,}", f"{audit['trained_tokens']:,}",
             percent(audit["trained_tokens"] / audit["tokens"] if audit["tokens"] else None))
    sizes = audit["length"]
    length = f"; {sizes['median']:,} tokens in the middle, {sizes['longest']:,} at most" if sizes else ""
    faulty = [(words, f"{len(names):,}", _some(names)) for fault, words in FAULTS.items()
              if (names := audit["faults"][fault])]
    parts: list[Table | str] = [
        Table("What is trained on", ("", "tokens", "trained on", "%"), (*rows, whole)),
        f"{audit['used']:,} of {audit['rows']:,} rows are used{length}"]
    return [*parts, Table("Faults", ("", "rows", ""), tuple(faulty)) if faulty else "No row has a fault."]


def parity_lines(forms: Mapping[str, Any]) -> list[str]:
    """How far each form of the student agrees with the trained model, a line a form."""
    return [f"parity: {form}: the same token in {part['same_greedy']:.1%} of {part['tokens']} places, "
            f"log-probabilities differ by at most {part['largest_difference']:.2g}"
            for form, part in forms.items()]


def counted(audit: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers of an audit, without the names of rows: for a run's metrics."""
    return {**{name: value for name, value in audit.items() if name not in ("faults", "left_out")},
            "faults": {fault: len(names) for fault, names in audit["faults"].items()}}


def _some(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
