"""What a run measures over time: metrics.jsonl, always, and W&B as its mirror.

    metrics.py     the files
    tracker.py     takes over what the stages write, and passes it on
    mirror.py      the W&B run of a cell; journal.py: what it was sent; identity.py: which run it is;
                   artifacts.py: data, adapter, evaluation and report
"""

from fireact.tracking.metrics import (
    METRICS,
    append_metrics,
    clock,
    flatten,
    last_seconds,
    parse_metrics,
    seconds_per_episode,
)
from fireact.tracking.tracker import Tracker, open_tracker

__all__ = ["METRICS", "Tracker", "append_metrics", "clock", "flatten", "last_seconds", "open_tracker", "parse_metrics",
           "seconds_per_episode"]
