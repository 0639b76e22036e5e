"""A file of another form than it should have costs no more than what it holds, and is named."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench.sweep import make
from fireact.report import write_html
from fireact.study.leaderboard import leaderboard
from fireact.study.read import read


@pytest.mark.parametrize(("name", "values"), [
    ("1/manifest.json", {"stages": None}),
    ("1/manifest.json", {"stages": {"evaluate/factbook/finetuned": 5}}),
    ("1/metrics.json", {"evaluate": "x"}),
    ("1/metrics.json", {"curate": {"react": {"played": "x"}}}),
    ("1/metrics.json", {"generate": [1]}),
    ("sweep.json", {"axes": [1, 2]}),
    ("sweep.json", {"axes": {"a": 5}}),
])
def test_what_has_another_form_is_named_and_left_out(tmp_path: Path, name: str, values: dict[str, Any]) -> None:
    folder = make(tmp_path / "s", {"strategy": ("react", "cot")}, 6, lambda *_: True)
    path = folder / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
    study = read(folder)
    assert any(name in sentence for sentence in study.skipped)
    assert len(leaderboard(study)) >= 2
    assert write_html(folder).exists()
