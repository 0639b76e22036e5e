"""What several attempts at a question are worth, as a table."""

from collections.abc import Mapping

from fireact.report.text import Summary, Table, percent


def attempts_table(summaries: Mapping[str, Summary]) -> Table | None:
    """pass@k and the majority's exact match, one row a summary; None where every question has one attempt."""
    several = {name: summary["sampling"] for name, summary in summaries.items() if "sampling" in summary}
    if not several:
        return None
    powers = sorted({int(k) for sampling in several.values() for k in sampling.get("pass", {})})
    head = ("", "attempts", "solved %", *(f"pass@{k} %" for k in powers), "majority %")
    rows = []
    for name, sampling in several.items():
        passes = (percent(sampling.get("pass", {}).get(str(k)), sampling.get("pass_se", {}).get(str(k)))
                  for k in powers)
        rows.append((name, str(sampling["attempts"]), percent(sampling["solved"]), *passes,
                     percent(sampling.get("majority"), sampling.get("majority_se"))))
    return Table("Several attempts at a question", head, tuple(rows))
