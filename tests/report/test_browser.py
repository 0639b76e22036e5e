"""The page in Chromium: what it shows, what it does, and that nothing on it runs or asks the network."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import pytest

from bench.report import CHROMIUM
from bench.sweep import by_chance, make
from fireact import report
from fireact.compare import Side, compare
from fireact.compare.page import compare_page
from fireact.report.text import minus
from tests.report.made import HOSTILE, episode, make_run, write_episodes

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed (pip install playwright)")
EXECUTABLE = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(EXECUTABLE is None, reason="there is no Chromium (apt-get install chromium)")
PLANTED = ('<img src="http://127.0.0.1:9/x" onerror="window.ran=1"></script><script>window.ran=1</script>'
           '<svg onload="window.ran=1">' + HOSTILE)
CARDS = "#cards > details"


@dataclass
class Seen:
    """A tab, and what happened in it."""

    tab: Any
    requests: list[str] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)

    @property
    def shown(self) -> list[str]:
        """The ids of the listed questions."""
        return self.tab.eval_on_selector_all(CARDS, "cards => cards.map((card) => card.dataset.id)")

    def settle(self, count: str) -> None:
        """Wait until the list says how many it shows."""
        playwright.expect(self.tab.locator("#count")).to_have_text(count)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser for this module; it ends before other tests use event loops of their own."""
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=EXECUTABLE, args=list(CHROMIUM))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """The page of a run of 30 questions."""
    return report.write_html(make_run(tmp_path_factory.mktemp("run") / "run"))


@pytest.fixture(scope="module")
def sweep(tmp_path_factory) -> Path:
    """The page of a sweep of 24 cells, whose choices are hostile, with the episodes of four cells."""
    folder = tmp_path_factory.mktemp("sweep")
    make(folder, {"strategy": ["react", f"=cmd {PLANTED}"], "curate.n": ["100", "200", "400"],
                  "seed": ["0", "1", "2", "3"]}, 120, by_chance)
    for number in range(4):
        for guise in ("prompted", "finetuned"):
            write_episodes(folder / str(number) / f"episodes-factbook-{guise}.jsonl",
                           [episode(question, question % 2 == 0, PLANTED) for question in range(120)])
    return report.write_html(folder)


@pytest.fixture
def look(chromium) -> Iterator[Any]:
    """Open a page; at the end nothing may have run, complained, or asked for anything but the page."""
    opened: list[tuple[Seen, Path]] = []

    def open_page(path: Path, fragment: str = "", **options: Any) -> Seen:
        tab = chromium.new_context(**options).new_page()
        seen = Seen(tab)
        tab.on("request", lambda request: seen.requests.append(request.url))
        tab.on("console", lambda message: seen.trouble.append(message.text))
        tab.on("pageerror", lambda error: seen.trouble.append(str(error)))
        tab.on("dialog", lambda dialog: (seen.trouble.append(dialog.message), dialog.dismiss()))
        tab.goto(path.resolve().as_uri() + fragment)
        tab.wait_for_selector("body[data-drawn]")
        opened.append((seen, path))
        return seen

    yield open_page
    for seen, path in opened:
        assert seen.trouble == []
        assert {url.partition("#")[0] for url in seen.requests} == {path.resolve().as_uri()}
        assert seen.tab.evaluate("window.ran") is None
        seen.tab.context.close()


def results(page: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (page.parent / "results.jsonl").read_text().splitlines()]


def test_hostile_texts_are_shown_as_they_are(sweep, look, tmp_path):
    hostile = report.write_html(make_run(tmp_path / "run", n=6, words=PLANTED))
    for path in (hostile, sweep):
        seen = look(path)
        for card in seen.tab.locator(CARDS).all()[:3]:
            card.locator("summary").first.click()
            card.locator(".steps, .side .note").first.wait_for()
        assert seen.tab.locator("main img, main iframe, main object").count() == 0
    assert '<img src="http://127.0.0.1:9/x"' in seen.tab.locator(f"{CARDS}[open] .step").first.inner_text()


def test_flips_count_and_choose_what_each_side_made_of_a_question(run, look):
    seen, rows = look(run), results(run)
    right = [{row["id"] for row in rows if row["guise"] == guise and row["em"] == 1}
             for guise in ("prompted", "finetuned")]
    asked = {row["id"] for row in rows}
    assert set(seen.shown) == asked
    for label, wanted in (("only B right", right[1] - right[0]), ("only A right", right[0] - right[1]),
                          ("both right", right[0] & right[1]), ("both wrong", asked - right[0] - right[1])):
        button = seen.tab.get_by_role("button", name=f"{label} {len(wanted)}")
        button.click()
        seen.settle(f"{len(wanted)} of 30 questions")
        assert set(seen.shown) == wanted
        assert button.get_attribute("aria-pressed") == "true"
    seen.tab.get_by_role("button", name="Show all").click()
    seen.settle("30 of 30 questions")


def test_filters_narrow_together(run, look):
    seen, rows = look(run), results(run)
    seen.tab.locator("#by-kind").select_option("bridge")
    seen.tab.locator("#by-failure").select_option("format")
    wanted = {row["id"] for row in rows if row["kind"] == "bridge" and row["failure"] == "format"}
    seen.settle(f"{len(wanted)} of 30 questions")
    assert set(seen.shown) == wanted
    seen.tab.locator("#by-stop").select_option("seconds")
    seen.settle("0 of 30 questions")


def test_a_search_finds_words_of_questions_answers_and_steps(run, look):
    seen = look(run)
    for words, count in (("COUNTRY 17", 1), ("capital City 21.", 1), ("nowhere", 0), ("I need the capital", 30)):
        seen.tab.locator("#by-words").fill(words)
        seen.settle(f"{count} of 30 questions")


def test_both_episodes_stand_side_by_side(run, look):
    seen = look(run)
    card = seen.tab.locator(f"{CARDS}[data-id=q3]")
    card.locator("summary").click()
    card.locator(".steps").nth(1).wait_for()
    assert card.locator("h4").all_inner_texts() == ["Prompted", "Fine-tuned"]
    boxes = [side.bounding_box() for side in card.locator(".side").all()]
    assert boxes[0]["y"] == boxes[1]["y"]
    assert boxes[0]["x"] < boxes[1]["x"]
    assert "search[capital of Country 3]" in card.locator(".side").nth(1).inner_text()
    assert "Gold answer".upper() in card.inner_text().upper()


def test_sides_are_chosen_and_swapped(sweep, look):
    seen = look(sweep)
    second = seen.tab.locator("#by-b").input_value()
    before = seen.tab.get_by_role("button", name="only B right").inner_text()
    seen.tab.get_by_role("button", name="Swap sides").click()
    playwright.expect(seen.tab.locator("#by-a")).to_have_value(second)
    playwright.expect(seen.tab.get_by_role("button", name="only A right")).to_have_text(
        before.replace("B", "A").replace("✗✓", "✓✗"))
    seen.tab.locator("#by-b").select_option("")
    playwright.expect(seen.tab.locator(".flip")).to_have_count(3)


def test_a_view_can_be_linked_and_the_back_button_works(run, look):
    seen = look(run)
    seen.tab.locator("#by-kind").select_option("comparison")
    seen.settle("10 of 30 questions")
    seen.tab.locator(f"{CARDS}[data-id=q4] summary").click()
    playwright.expect(seen.tab).to_have_url(re.compile("q=q4"))
    linked = look(run, "#" + seen.tab.url.partition("#")[2])
    linked.settle("10 of 30 questions")
    linked.tab.locator(f"{CARDS}[data-id=q4][open] .steps").first.wait_for()
    seen.tab.go_back()
    seen.tab.go_back()
    seen.settle("30 of 30 questions")
    assert seen.tab.locator("#by-kind").input_value() == ""


def test_pages_of_questions_are_turned(sweep, look):
    seen = look(sweep)
    assert len(seen.shown) == 50
    first = seen.shown
    seen.tab.get_by_role("button", name="Next").click()
    playwright.expect(seen.tab.locator("#place")).to_have_text("51 to 100 of 120")
    assert not set(first) & set(seen.shown)
    for _ in range(2):
        seen.tab.locator(CARDS).first.locator("summary").click()
    playwright.expect(seen.tab.locator("#place")).to_have_text("51 to 100 of 120")


def test_the_leaderboard_leads_to_episodes_and_is_sorted_by_keyboard(sweep, look):
    seen = look(sweep)
    board = seen.tab.locator("#leaderboard-1")
    label = board.locator("tbody th").nth(2).inner_text().partition(". ")[2]
    board.get_by_role("link", name="episodes").nth(2).click()
    playwright.expect(seen.tab.locator("#by-b option:checked")).to_contain_text(label[:20])
    assert seen.tab.evaluate("document.activeElement.id") == "episodes"
    button = board.get_by_role("button", name="Condition")
    button.focus()
    seen.tab.keyboard.press("Enter")
    seen.tab.keyboard.press("Enter")
    assert button.locator("xpath=..").get_attribute("aria-sort") == "ascending"
    labels = [text.partition(". ")[2].casefold() for text in board.locator("tbody th").all_inner_texts()]
    assert labels[0].startswith("react, n=100")
    assert labels[-1].startswith("strategy==cmd")


def test_a_question_is_reached_and_opened_by_keyboard_alone(run, look):
    seen = look(run)
    seen.tab.locator("#by-words").focus()
    for _ in range(2):
        seen.tab.keyboard.press("Tab")
    assert seen.tab.evaluate("document.activeElement.matches('summary')")
    outline = seen.tab.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    seen.tab.keyboard.press("Enter")
    seen.tab.locator(f"{CARDS}[open] .steps").first.wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_it_without_scrolling_sideways(run, sweep, look, scheme):
    for path in (run, sweep):
        seen = look(path, viewport={"width": 360, "height": 740}, color_scheme=scheme, has_touch=True)
        for card in seen.tab.locator(CARDS).all()[:2]:
            card.locator("summary").first.click()
            card.locator(".side").first.wait_for()
        for fold in seen.tab.locator("details.fold").all():
            fold.evaluate("fold => { fold.open = true; }")
        assert seen.tab.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize("width", [360, 390])
def test_a_phone_shows_condition_number_and_interval_at_once(run, sweep, look, width):
    for path in (run, sweep):
        seen = look(path, viewport={"width": width, "height": 740}, has_touch=True)
        for panel in ("leaderboard-1", "contrasts-planned", "choice-1"):
            rows = seen.tab.locator(f"#{panel} > .scroll > table > tbody > tr")
            for row in rows.all()[:8]:
                boxes = [cell.bounding_box() for cell in row.locator("th, td").all()[:3]]
                assert [box["x"] >= 0 for box in boxes] == [True] * 3
                assert boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"] + 1
                assert boxes[2]["x"] + boxes[2]["width"] <= width
                assert row.locator(".ends").bounding_box()["width"] <= boxes[2]["width"]


def test_numbers_at_the_points_of_quality_and_cost_can_be_read(sweep, look):
    seen = look(sweep)
    drawing = seen.tab.locator("svg[aria-labelledby^=front-1]")
    boxes = drawing.locator("text").evaluate_all("""all => all.map((one) => one.getBoundingClientRect())
        .map((box) => [box.left, box.top, box.right, box.bottom])""")
    assert len(boxes) > 10
    for one, other in combinations(boxes, 2):
        assert one[0] >= other[2] or other[0] >= one[2] or one[1] >= other[3] or other[1] >= one[3]


def test_a_text_that_turns_its_letters_around_turns_nothing_after_it(look, tmp_path):
    seen = look(report.write_html(make_run(tmp_path / "run", n=6, words=" \u202eabc")))
    card = seen.tab.locator(f"{CARDS}[data-id=q3]")
    card.locator("summary").first.click()
    card.locator(".steps").first.wait_for()
    for text in (".question", ".gold bdi", ".answer bdi", ".step .text", ".body > .effort bdi"):
        found = card.locator(text).first.evaluate("node => getComputedStyle(node).unicodeBidi")
        assert found == "isolate"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_in_both_themes(run, sweep, look, scheme):
    for path in (run, sweep):
        seen = look(path, color_scheme=scheme)
        seen.tab.locator(f"{CARDS} summary").first.click()
        seen.tab.locator(".side").first.wait_for()
        assert seen.tab.evaluate(CONTRAST) == []


CONTRAST = """() => {
  const numbers = (text) => {
    const found = text.match(/[\\d.]+/g).map(Number);
    return text.startsWith("color(srgb") ? [...found.slice(0, 3).map((part) => part * 255), found[3]] : found;
  };
  const light = (colour) => {
    const [r, g, b] = colour.slice(0, 3).map((part) => part / 255)
      .map((part) => (part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const colour = numbers(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] === undefined || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const poor = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    const box = node.getBoundingClientRect();
    if (!walker.currentNode.textContent.trim() || box.width < 2 || !node.checkVisibility()) continue;
    if (node.closest("script, style, svg, .hidden, .skip, button:disabled")) continue;
    let [a, b] = [light(numbers(getComputedStyle(node).color)), light(behind(node))];
    if (a < b) [a, b] = [b, a];
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) poor.push([node.className, node.textContent.slice(0, 30), ratio]);
  }
  return poor.slice(0, 5);
}"""


def test_print_leaves_out_what_cannot_be_used_on_paper(run, look):
    seen = look(run)
    seen.tab.emulate_media(media="print")
    assert not seen.tab.locator("#filters").is_visible()
    assert not seen.tab.locator(".csv").first.is_visible()
    assert seen.tab.locator("#leaderboard-1").is_visible()


def test_a_screen_reader_finds_its_way(run, look):
    seen = look(run)
    levels = seen.tab.eval_on_selector_all("h1, h2, h3, h4", "all => all.map((one) => Number(one.tagName[1]))")
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert seen.tab.locator("main").count() == 1
    assert seen.tab.locator("#count[role=status]").count() == 1
    unnamed = seen.tab.evaluate("""() => [...document.querySelectorAll("input, select, button")]
        .filter((one) => !one.textContent.trim() && !(one.labels && one.labels.length)).map((one) => one.id)""")
    assert unnamed == []
    assert seen.tab.locator("table:not(:has(caption))").count() == 0
    assert seen.tab.locator("section:not([aria-labelledby]):not(.side)").count() == 0


def test_a_csv_is_downloaded_without_the_network(run, look):
    seen = look(run)
    with seen.tab.expect_download() as downloading:
        seen.tab.locator("#leaderboard-1 .csv").click()
    text = Path(downloading.value.path()).read_text()
    assert text.startswith("rank,condition,")
    assert "prompted" in text


def test_a_comparison_opens_with_both_sides(sweep, look, tmp_path):
    found = compare(Side(sweep.parent / "0", "finetuned"), Side(sweep.parent / "1", "finetuned"))
    path = tmp_path / "compared.html"
    path.write_text(compare_page(found))
    seen = look(path)
    assert seen.tab.locator("#by-a option:checked").inner_text() == "A, fine-tuned"
    assert seen.tab.locator("#by-b option:checked").inner_text() == "B, fine-tuned"
    (result,) = found.results
    assert seen.tab.get_by_role("button", name=f"only B right {len(result.better)}").is_visible()
    assert minus(result.verdict) in seen.tab.locator(".lead").inner_text()
    seen.tab.locator(f"{CARDS} summary").first.click()
    playwright.expect(seen.tab.locator(f"{CARDS}[open] .side")).to_have_count(2)
