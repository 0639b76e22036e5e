"""A comparison of two runs as a page: one HTML file that needs no network, with all episodes side by side."""

from fireact.compare import Comparison
from fireact.compare.text import named
from fireact.report import compared
from fireact.study.types import Planned


def compare_page(comparison: Comparison) -> str:
    """Return the page of a comparison; it opens with the last result's students of a dataset."""
    results = [Planned(" against ".join(reversed(named(one))), one.dataset, *named(one), one.contrast, one.contrast.p,
                       one.verdict) for one in comparison.results]
    return compared.compare_page(comparison.study, results, {one.dataset: one.series for one in comparison.results},
                               [(each.key, *each.values) for each in comparison.differences])
