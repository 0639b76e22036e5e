"""All questions that can be made of the facts, each with its gold plan, in a seeded order.

Four kinds: `bridge` (a described country, then its value), `three_hop` (a described country, its longest neighbour, the
neighbour's value), `comparison` (which of two) and `yes_no`. The countries are dealt to the splits, so that no country
that a test or validation question starts from is met in a training question.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain, combinations
from typing import TypeVar

from fireact.dataset.factbook.clean import LONGEST_NAME, clean, dig
from fireact.dataset.factbook.facts import ANTHEM, CAPITAL, CODE, DATE, SUMMIT, SYMBOL, Country, Fact
from fireact.dataset.factbook.wordings import BORDERS, COMPARISONS, RELATIONS, STARTS, TARGETS, YES_NO, Facet, Rule
from fireact.dataset.scoring import normalize
from fireact.plan import Hop, Plan, conclude, magnitude
from fireact.types import Question

KINDS = ("bridge", "three_hop", "comparison", "yes_no")
SHARES = {"train": 0.60, "validation": 0.15, "test": 0.25}
"""How the countries are dealt to the splits."""

_SOURCES = {"capital": CAPITAL, "anthem": ANTHEM, "summit": SUMMIT, "symbol": SYMBOL, "code": CODE}
_BORDER = Facet("border")
_GENERIC = {"republic", "democratic", "federated", "states", "united", "kingdom", "islands", "saint", "north", "south"}
_COMMON_WORDS = {"as", "at", "be", "by", "do", "in", "is", "it", "me", "my", "no", "so", "to", "us"}
_MOST_PAIRS = 600
"""Pairs of countries considered for one relation."""
_CLEARLY = 1.02
"""How much larger a number must be than another to be called larger."""

T = TypeVar("T")


@dataclass(frozen=True)
class World:
    """What questions are made of: the countries that may be asked about, their splits, and what is theirs alone."""

    seed: int
    countries: tuple[Country, ...]
    """Sovereign countries only."""
    split: dict[str, str]
    """Country name to split."""
    starts: dict[str, tuple[str, ...]]
    """Country name to the keys of those facts that single it out."""

    def of(self, split: str) -> list[Country]:
        """Return the countries of a split."""
        return [country for country in self.countries if self.split[country.name] == split]

    def order(self, *key: object) -> str:
        """Return a sort key that looks random, depends on the seed, and never changes."""
        return _order(self.seed, *key)

    def pick(self, options: Sequence[T], *key: object) -> T:
        """Choose by seed and key."""
        return options[int(self.order(*key)[:8], 16) % len(options)]


def create_world(countries: Sequence[Country], seed: int) -> World:
    """Deal the sovereign countries to the splits and find out which values belong to one country only."""
    sources = {key: [_spaced(clean(dig(c.record, *path))) for c in countries] for key, path in _SOURCES.items()}
    asked = tuple(c for c in countries if c.sovereign and len(c.name) <= LONGEST_NAME)
    starts = {c.name: tuple(key for key in STARTS if _singles_out(c, key, sources[key])) for c in asked}
    dealt = sorted(asked, key=lambda country: _order(seed, "split", country.code))
    splits = [split for split, share in SHARES.items() for _ in range(round(share * len(dealt)))]
    split = {country.name: splits[min(i, len(splits) - 1)] for i, country in enumerate(dealt)}
    return World(seed, asked, split, starts)


def _order(*key: object) -> str:
    return sha256("|".join(map(str, key)).encode()).hexdigest()


def _spaced(text: str) -> str:
    return f" {normalize(text)} "


def _singles_out(country: Country, key: str, sources: list[str]) -> bool:
    """Whether a value stands in one country's entry only and does not give the country's name away."""
    fact = country.facts.get(key)
    if fact is None or (key == "code" and fact.value.strip(".") in _COMMON_WORDS):
        return False
    own = set(normalize(country.name).split()) - _GENERIC
    near = any(word[:4] == name[:4] for word in normalize(fact.value).split() for name in own if len(name) > 3)
    value = _spaced(fact.value)
    return not near and sum(value in source for source in sources) == 1


def candidates(world: World, split: str, kind: str) -> list[Question]:
    """Return all questions of a kind for the countries of a split, so that any first part is a fair sample."""
    strata = {"bridge": _bridges, "three_hop": _three_hops, "comparison": _comparisons, "yes_no": _yes_nos}[kind]
    ranked = [(rank, world.order(question.id), question)
              for stratum in strata(world, split) for rank, question in enumerate(stratum)]
    return [question for *_, question in sorted(ranked, key=lambda entry: entry[:2])]


def _bridges(world: World, split: str) -> Iterable[list[Question]]:
    for start in STARTS:
        for target in TARGETS:
            made = (_bridge(world, country, start, target) for country in world.of(split)
                    if start in world.starts[country.name] and target != start)
            yield _shuffled(world, made)


def _bridge(world: World, country: Country, start: str, target: str) -> Question | None:
    facet, wordings = TARGETS[target]
    fact = country.facts.get(facet.relation)
    if fact is None or (target == "border" and not _may_visit(world, country, fact)):
        return None
    identity = f"bridge-{start}-{country.code}-{target}"
    described = world.pick(STARTS[start], identity, "start").format(v=country.facts[start].value)
    hops = (_find(country, start), _look(facet, "{1}", 2))
    gold = (_passage(country, start), _passage(country, facet.relation))
    text = world.pick(wordings, identity, "target").format(c=described)
    return _unless_told(Question(identity, text, _answers(target, fact), "bridge", gold, Plan(hops)), [country.name])


def _three_hops(world: World, split: str) -> Iterable[list[Question]]:
    known = {country.name: country for country in world.countries}
    for start in STARTS:
        for target in TARGETS:
            made = (_three_hop(world, country, known[country.facts["border"].value], start, target)
                    for country in world.of(split) if start in world.starts[country.name]
                    and "border" in country.facts and _may_visit(world, country, country.facts["border"]))
            yield _shuffled(world, made)


def _three_hop(world: World, country: Country, neighbour: Country, start: str, target: str) -> Question | None:
    facet, wordings = TARGETS[target]
    fact = neighbour.facts.get(facet.relation)
    if fact is None or target == "border":
        return None
    identity = f"three_hop-{start}-{country.code}-{target}"
    first = world.pick(STARTS[start], identity, "start").format(v=country.facts[start].value)
    described = world.pick(BORDERS, identity, "border").format(c=first)
    hops = (_find(country, start), _look(_BORDER, "{1}", 2), _look(facet, "{2}", 3))
    gold = (_passage(country, start), _passage(country, "border"), _passage(neighbour, facet.relation))
    text = world.pick(wordings, identity, "target").format(c=described)
    question = Question(identity, text, _answers(target, fact), "three_hop", gold, Plan(hops))
    return _unless_told(question, [country.name, neighbour.name])


def _comparisons(world: World, split: str) -> Iterable[list[Question]]:
    for key, (facet, rule, wordings) in COMPARISONS.items():
        stratum = []
        for rank, (first, second) in enumerate(_pairs(world, split, facet, "comparison")):
            if (_conclusion(facet, rule, first, second) == first.name) != (rank % 2 == 0):
                first, second = second, first
            winner = first if rank % 2 == 0 else second
            stratum.append(_pair_question(world, f"comparison-{key}", first, second, facet, rule, wordings,
                                          (winner.name, *winner.aliases)))
        yield stratum


def _yes_nos(world: World, split: str) -> Iterable[list[Question]]:
    for key, (facet, rule, wordings) in YES_NO.items():
        stratum = []
        pairs = _same_or_not(world, split, facet) if rule == "same" else _pairs(world, split, facet, "yes_no")
        for rank, (first, second) in enumerate(pairs):
            answer = "yes" if rank % 2 == 0 else "no"
            if _conclusion(facet, rule, first, second) != answer:
                first, second = second, first
            stratum.append(_pair_question(world, f"yes_no-{key}", first, second, facet, rule, wordings, (answer,)))
        yield stratum


def _pairs(world: World, split: str, facet: Facet, purpose: str) -> list[tuple[Country, Country]]:
    """Return the pairs whose values differ clearly, in a seeded order."""
    able = [country for country in world.of(split) if facet.relation in country.facts]
    differing = [pair for pair in combinations(able, 2) if _differ(*(_compared(facet, country) for country in pair))]
    differing.sort(key=lambda pair: world.order(purpose, facet.relation, pair[0].code, pair[1].code))
    return differing[:_MOST_PAIRS]


def _same_or_not(world: World, split: str, facet: Facet) -> list[tuple[Country, Country]]:
    """Return pairs with the same value and pairs with different ones in turn."""
    able = [country for country in world.of(split) if facet.relation in country.facts]
    pairs = sorted(combinations(able, 2), key=lambda pair: world.order("same", pair[0].code, pair[1].code))
    same = [pair for pair in pairs if _compared(facet, pair[0]) == _compared(facet, pair[1])]
    other = [pair for pair in pairs if _compared(facet, pair[0]) != _compared(facet, pair[1])]
    return list(chain.from_iterable(zip(same[:_MOST_PAIRS], other, strict=False)))


def _compared(facet: Facet, country: Country) -> str:
    """Return what the plan will read: the value, or the height behind it."""
    fact = country.facts[facet.relation]
    return fact.note if facet.relation == "summit" else fact.value


def _differ(first: str, second: str) -> bool:
    low, high = sorted((magnitude(first), magnitude(second)))
    return high > low if re.fullmatch(DATE, first) else high >= _CLEARLY * low


def _conclusion(facet: Facet, rule: Rule, first: Country, second: Country) -> str:
    plan = Plan((), rule, (first.name, second.name))
    return conclude(plan, [_compared(facet, first), _compared(facet, second)])


def _pair_question(world: World, stem: str, first: Country, second: Country, facet: Facet, rule: Rule,
                   wordings: Sequence[str], answers: tuple[str, ...]) -> Question:
    identity = f"{stem}-{first.code}-{second.code}"
    text = world.pick(wordings, identity).format(a=first.name, b=second.name)
    hops = (_look(facet, first.name, 1), _look(facet, second.name, 2))
    gold = (_passage(first, facet.relation), _passage(second, facet.relation))
    choices = (first.name, second.name) if rule in ("largest", "smallest") else ()
    kind = stem.split("-")[0]
    return Question(identity, text, answers, kind, gold, Plan(hops, rule, choices))


def _find(country: Country, key: str) -> Hop:
    """The hop from a value to the country that has it."""
    relation, value = RELATIONS[key], country.facts[key].value
    shown = f"{relation.opening}{value}{relation.closing}"
    end = "" if relation.closing else r"(?: \(|[.,]|$)"
    read = rf"(?i)\bthe {relation.noun} of ([^.]+?) is {re.escape(shown)}{end}"
    return Hop(f"I need to find the country whose {relation.noun} is {shown}.", f"{relation.noun} {value}", read,
               relation.sentence("{1}", value))


def _look(facet: Facet, country: str, number: int) -> Hop:
    """The hop from a country, named or `{n}`, to its value; `number` is the hop's own."""
    noun = RELATIONS[facet.relation].noun
    name = country if country.startswith("{") else re.escape(country)
    read = rf"(?i)\bthe {noun} of {name} is {facet.pattern()}"
    return Hop(f"I need to find the {noun} of {country}.", f"{noun} of {country}", read,
               facet.statement(country, f"{{{number}}}"))


def _passage(country: Country, relation: str) -> str:
    return f"{country.code}-{RELATIONS[relation].section}"


def _may_visit(world: World, country: Country, border: Fact) -> bool:
    """Whether a question about `country` may lead to its neighbour: training questions never meet other splits."""
    return world.split.get(border.value) in ("train", world.split[country.name])


def _answers(target: str, fact: Fact) -> tuple[str, ...]:
    return (fact.value.split()[-1], fact.value) if target == "year" else (fact.value, *fact.aliases)


def _unless_told(question: Question, hidden: list[str]) -> Question | None:
    """Return the question unless it, or its plan, tells the answer or a country on the way."""
    hops = question.plan.hops if question.plan else ()
    told = [question.text, *(text for hop in hops for text in (hop.thought, hop.query, hop.found, hop.read))]
    spaced = [_spaced(text) for text in told]
    secret = [_spaced(text) for text in (*question.answers, *hidden)]
    return None if any(word.strip() and word in text for word in secret for text in spaced) else question


def _shuffled(world: World, made: Iterable[Question | None]) -> list[Question]:
    return sorted((question for question in made if question), key=lambda question: world.order(question.id))
