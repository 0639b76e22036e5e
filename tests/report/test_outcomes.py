"""The browser's data: how every episode ended, the steps that there is room for, and what is said of the others."""

import json
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from bench.sweep import by_chance, make
from fireact import report
from fireact.report import browser
from fireact.report.balance import balanced
from fireact.report.browser.records import GONE, NEWER, UNREADABLE
from tests.report.made import chunks, episode, make_run, page_of, shown, write_episodes


@pytest.fixture(scope="module")
def sweep(tmp_path_factory) -> Path:
    """Two strategies, two seeds, 20 questions, the episodes of all but the last cell."""
    folder = tmp_path_factory.mktemp("sweep")
    make(folder, {"strategy": ["react", "cot"], "seed": ["0", "1"]}, 20, by_chance)
    for number in range(3):
        for guise in ("prompted", "finetuned"):
            write_episodes(folder / str(number) / f"episodes-factbook-{guise}.jsonl",
                           [episode(question, question % 2 == 0) for question in range(20)])
    return folder


def test_every_outcome_of_a_sweep_is_on_its_page(sweep):
    page = page_of(sweep)
    (only,) = shown(page)["sets"]
    assert len(only["series"]) == 8
    rows = [json.loads(line) for number in range(4) for line in (sweep / str(number) / "results.jsonl").open()]
    parts = chunks(page)
    letters = "".join(parts[f"s0-{series}"]["o"] for series in range(8))
    assert letters.count("+") == sum(row["em"] for row in rows)
    assert len(letters) == len(rows)
    assert [question[5] for question in only["questions"]] == [
        sum(row["em"] for row in rows if row["id"] == question[0]) for question in only["questions"]]


def test_a_sweep_opens_with_its_first_condition_and_its_best(sweep):
    (only,) = shown(page_of(sweep))["sets"]
    a, b = (only["series"][side][1] for side in only["sides"])
    assert a == "react, prompted, seed 0"
    assert b == only["series"][0][1]
    assert b.startswith(("react, fine-tuned", "cot, fine-tuned"))


def test_links_of_the_leaderboard_name_series_of_the_page(sweep):
    page = page_of(sweep)
    keys = {series[0] for series in shown(page)["sets"][0]["series"]}
    links = [part.split('"')[0] for part in page.split('href="#')[1:] if "set=" in part.split('"')[0]]
    named = [parse_qs(link.replace("&amp;", "&")) for link in links]
    assert named
    assert all(set(link.get("a", [])) | set(link.get("b", [])) <= keys for link in named)


def test_what_is_gone_damaged_or_newer_is_said_in_its_place(tmp_path):
    run = make_run(tmp_path, n=4)
    good, late = [json.dumps(json.loads(line)) for line in
                  (run / "episodes-factbook-finetuned.jsonl").read_text().splitlines()[:2]]
    late = late.replace('"version": 1', '"version": 99')
    (run / "episodes-factbook-finetuned.jsonl").write_text(f'{good}\n{late}\n{{"id":"q2","ques\n')
    (run / "episodes-factbook-prompted.jsonl").unlink()
    parts = chunks(page_of(run))
    said = {name: {tuple(entry[0]): entry for entry in parts[name]} for name in parts if name.startswith("q0-")}
    a, b = shown(page_of(run))["sets"][0]["sides"]
    assert {said[f"q0-{question}"][a,][3] for question in range(4)} == {GONE}
    assert [said[f"q0-{question}"][b,][3] for question in range(4)] == [None, NEWER, UNREADABLE, UNREADABLE]
    assert said["q0-0"][b,][1]


def test_the_last_played_record_of_a_question_counts(tmp_path):
    run = make_run(tmp_path, n=2)
    path = run / "episodes-factbook-finetuned.jsonl"
    first, second = (json.loads(line) for line in path.read_text().splitlines()[:2])
    again = {**first, "error": "again"}
    out_of_reach = {**first, "stop": "model", "error": "out of reach"}
    further = {**first, "attempt": 1, "error": "further"}
    path.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n"
                            for line in (first, second, again, further, out_of_reach)))
    page = page_of(run)
    (entry,) = [entry for entry in chunks(page)["q0-0"] if entry[0] == [shown(page)["sets"][0]["sides"][1]]]
    assert entry[2] == "again"


def test_a_page_without_room_keeps_outcomes_and_takes_questions_evenly(tmp_path, monkeypatch):
    monkeypatch.setattr(browser, "STEPS_ROOM", 12_000)
    run = make_run(tmp_path, n=90)
    page = page_of(run)
    parts, only = chunks(page), shown(page)["sets"][0]
    held = [int(name[3:]) for name in parts if name.startswith("q0-")]
    assert 4 < len(held) < 60
    assert len(parts["s0-0"]["o"]) == 90
    pairs = [tuple(parts[f"s0-{side}"]["o"][question] == "+" for side in only["sides"]) for question in range(90)]
    taken = [pairs[question] for question in held]
    assert all(taken.count(pair) >= min(pairs.count(pair), len(held) // 4) for pair in set(pairs))
    assert {only["questions"][question][3] for question in held} == {"bridge", "comparison", "yes/no"}


def test_where_not_even_answers_fit_outcomes_are_there(tmp_path, monkeypatch):
    monkeypatch.setattr(browser, "SERIES_ROOM", 1)
    page = page_of(make_run(tmp_path, n=10))
    first, second = (chunks(page)[f"s0-{side}"] for side in shown(page)["sets"][0]["sides"])
    assert set(first) == {"o", "s", "a", "e"}
    assert set(second) == {"o", "s"}


def test_cells_that_share_a_file_have_one_entry(sweep, tmp_path):
    make(tmp_path / "s", {"strategy": ["react", "cot"]}, 5, by_chance, guises=["finetuned"])
    write_episodes(tmp_path / "s" / "0" / "episodes-factbook-finetuned.jsonl",
                   [episode(question, True) for question in range(5)])
    (tmp_path / "s" / "1" / "episodes-factbook-finetuned.jsonl").symlink_to(
        tmp_path / "s" / "0" / "episodes-factbook-finetuned.jsonl")
    parts = chunks(page_of(tmp_path / "s"))
    assert [entry[0] for entry in parts["q0-0"]] == [[0, 1]]


def test_a_page_does_not_tell_where_it_was_written(sweep):
    assert str(sweep) not in page_of(sweep)
    assert (sweep / report.HTML).exists()


def test_balanced_takes_outcomes_in_turn():
    items = [f"right{i}" for i in range(50)] + ["wrong1", "wrong2"]
    first = balanced(items, str, lambda item: item[:5], lambda item: "")[:4]
    assert sorted(item[:5] for item in first) == ["right", "right", "wrong", "wrong"]
    assert sorted(balanced(items, str, lambda item: item[:5], len)) == sorted(items)
