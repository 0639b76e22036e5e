"""The relations between a country and its values: how a passage states them, how a plan asks and reads, how a
question may be worded. In question wordings `{c}` is a country, named or described; `{a}` and `{b}` are two names."""

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from fireact.dataset.factbook.facts import DATE, Country

Rule = Literal["last", "largest", "smallest", "larger", "smaller", "same"]

_TEXT = r'([^.,("]+?)(?: \(|[.,]|$)'
_NUMBER = r"([\d,]*\d(?:\.\d+)?)"


@dataclass(frozen=True)
class Relation:
    """One relation, stated as 'The {noun} of {country} is {opening}{value}{closing} ({note}).'"""

    noun: str
    section: str
    """The section of the corpus that states it."""
    opening: str = ""
    closing: str = ""
    value: str = _TEXT
    """A regular expression with one group that reads the value behind `opening`."""

    def sentence(self, country: str, value: str, note: str = "") -> str:
        """State the relation for a country."""
        behind = f" ({note})" if note else ""
        return f"The {self.noun} of {country} is {self.opening}{value}{self.closing}{behind}."


RELATIONS = {
    "capital": Relation("capital", "capital"),
    "currency": Relation("currency", "economy", opening="the "),
    "anthem": Relation("national anthem", "anthem", opening='"', closing='"', value=r'([^"]+)"'),
    "summit": Relation("highest point", "relief"),
    "symbol": Relation("national symbol", "symbols", opening="the "),
    "code": Relation("internet domain", "communications", value=r"(\.[a-z][a-z])\b"),
    "independence": Relation("date of independence", "government", value=rf"({DATE})"),
    "holiday": Relation("national holiday", "government", value=r"(\d\d? [A-Z][a-z]+)"),
    "population": Relation("population", "people", value=_NUMBER),
    "life": Relation("life expectancy", "people", closing=" years", value=_NUMBER),
    "area": Relation("total area", "geography", closing=" sq km", value=_NUMBER),
    "coastline": Relation("coastline", "geography", closing=" km long", value=_NUMBER),
    "border": Relation("longest land border", "borders", opening="with "),
}


@dataclass(frozen=True)
class Facet:
    """What a plan's hop looks for: a relation's value, or a part of its sentence."""

    relation: str
    read: str = ""
    """Reads the value behind 'The {noun} of {country} is '; empty for the relation's own pattern."""
    found: str = ""
    """How the plan states it, with {c} and {v}; empty for the relation's own sentence."""

    def pattern(self) -> str:
        """Return the regular expression behind 'is '."""
        relation = RELATIONS[self.relation]
        return self.read or re.escape(relation.opening) + relation.value

    def statement(self, country: str, value: str) -> str:
        """State what was found."""
        if self.found:
            return self.found.format(c=country, v=value)
        return RELATIONS[self.relation].sentence(country, value)


HEIGHT = Facet("summit", r"[^.(]+ \(([\d,]+ m)\)", "The highest point of {c} is at {v}.")
YEAR = Facet("independence", r"\d\d? [A-Z][a-z]+ (\d\d\d\d)", "The year of independence of {c} is {v}.")

STARTS = {
    "capital": ("the country whose capital is {v}", "the country with the capital {v}",
                "the country that has {v} as its capital"),
    "anthem": ('the country whose national anthem is "{v}"', 'the country with the national anthem "{v}"',
               'the country that sings "{v}" as its national anthem'),
    "summit": ("the country whose highest point is {v}", "the country in which {v} is the highest point",
               "the country that has {v} as its highest point"),
    "symbol": ("the country whose national symbol is the {v}", "the country that has the {v} as its national symbol",
               "the country with the {v} for a national symbol"),
    "code": ("the country whose internet domain is {v}", "the country with the internet domain {v}",
             "the country that uses the internet domain {v}"),
}
"""Ways of describing a country by a value that only it has."""

BORDERS = (
    "the country that has the longest land border with {c}",
    "the country with which {c} shares its longest land border",
    "the neighbour that shares the longest land border with {c}",
    "the country that has a longer land border than any other with {c}",
)
"""Ways of describing a country as the longest neighbour of another."""

TARGETS = {
    "capital": (Facet("capital"), (
        "What is the capital of {c}?", "Which city is the capital of {c}?", "Name the capital of {c}.",
        "What is the name of the capital city of {c}?")),
    "currency": (Facet("currency"), (
        "What is the currency of {c}?", "Which currency is used in {c}?", "Name the currency of {c}.",
        "With which currency does one pay in {c}?")),
    "anthem": (Facet("anthem"), (
        "What is the national anthem of {c}?", "Which song is the national anthem of {c}?",
        "What is the title of the national anthem of {c}?", "Name the national anthem of {c}.")),
    "summit": (Facet("summit"), (
        "What is the highest point of {c}?", "Which is the highest point in {c}?", "Name the highest point of {c}.",
        "What is the name of the highest point of {c}?")),
    "symbol": (Facet("symbol"), (
        "What is the national symbol of {c}?", "What serves as the national symbol of {c}?",
        "Name the national symbol of {c}.", "Which national symbol belongs to {c}?")),
    "code": (Facet("code"), (
        "What is the internet domain of {c}?", "Which internet domain belongs to {c}?",
        "Name the internet domain of {c}.", "Which internet domain is used by {c}?")),
    "year": (YEAR, (
        "In which year did {c} become independent?", "What is the year of independence of {c}?",
        "In what year did {c} gain independence?", "Name the year of independence of {c}.")),
    "holiday": (Facet("holiday"), (
        "On which date is the national holiday of {c}?", "What is the date of the national holiday of {c}?",
        "When is the national holiday of {c}?", "On which day of the year does {c} have its national holiday?")),
    "population": (Facet("population"), (
        "What is the population of {c}?", "How many people live in {c}?", "How large is the population of {c}?",
        "How many inhabitants does {c} have?")),
    "life": (Facet("life"), (
        "What is the life expectancy in years of {c}?", "How many years is the life expectancy of {c}?",
        "What is the life expectancy, in years, in {c}?", "How high, in years, is the life expectancy in {c}?")),
    "area": (Facet("area"), (
        "What is the total area in sq km of {c}?", "How many sq km is the total area of {c}?",
        "How large, in sq km, is {c}?", "How many sq km does {c} cover?")),
    "border": (Facet("border"), (
        "Which country has the longest land border with {c}?",
        "With which country does {c} share its longest land border?",
        "Which neighbour shares the longest land border with {c}?",
        "Name the country that has the longest land border with {c}.")),
}
"""What a question may be after, and how it may ask."""

COMPARISONS: dict[str, tuple[Facet, Rule, tuple[str, ...]]] = {
    "population": (Facet("population"), "largest", (
        "Which country has the larger population, {a} or {b}?", "Which has more inhabitants, {a} or {b}?",
        "Do more people live in {a} or in {b}?", "Which of the two countries is more populous: {a} or {b}?")),
    "area": (Facet("area"), "largest", (
        "Which country has the larger total area, {a} or {b}?", "Which covers more sq km, {a} or {b}?",
        "Which of the two countries is larger in area: {a} or {b}?",
        "Whose total area is larger, that of {a} or that of {b}?")),
    "coastline": (Facet("coastline"), "largest", (
        "Which country has the longer coastline, {a} or {b}?", "Whose coastline is longer, that of {a} or that of {b}?",
        "Which has the longer coast, {a} or {b}?", "Which of the two countries has a longer coastline: {a} or {b}?")),
    "summit": (HEIGHT, "largest", (
        "Which country has the higher highest point, {a} or {b}?", "Which rises higher, {a} or {b}?",
        "Whose highest point is higher, that of {a} or that of {b}?",
        "Which of the two countries has the higher summit: {a} or {b}?")),
    "life": (Facet("life"), "largest", (
        "Which country has the higher life expectancy, {a} or {b}?",
        "Whose life expectancy is higher, that of {a} or that of {b}?",
        "Do people live longer on average in {a} or in {b}?",
        "Which of the two countries has a higher life expectancy: {a} or {b}?")),
    "independence": (Facet("independence"), "smallest", (
        "Which country became independent first, {a} or {b}?", "Which gained independence earlier, {a} or {b}?",
        "Which of the two countries has been independent for longer: {a} or {b}?",
        "Whose date of independence is earlier, that of {a} or that of {b}?")),
}
"""What two countries may be compared by, and which of them the question is after."""

YES_NO: dict[str, tuple[Facet, Rule, tuple[str, ...]]] = {
    "currency": (Facet("currency"), "same", (
        "Do {a} and {b} use the same currency?", "Is the currency of {a} the same as that of {b}?",
        "Do {a} and {b} share a currency?", "Does {a} have the same currency as {b}?")),
    "population": (Facet("population"), "larger", (
        "Is the population of {a} larger than that of {b}?", "Does {a} have more inhabitants than {b}?",
        "Do more people live in {a} than in {b}?", "Is {a} more populous than {b}?")),
    "area": (Facet("area"), "larger", (
        "Is the total area of {a} larger than that of {b}?", "Does {a} cover more sq km than {b}?",
        "Is {a} larger in area than {b}?", "Does {a} have a larger total area than {b}?")),
    "summit": (HEIGHT, "larger", (
        "Is the highest point of {a} higher than that of {b}?", "Does {a} rise higher than {b}?",
        "Is the summit of {a} higher than that of {b}?", "Does {a} have a higher highest point than {b}?")),
    "independence": (Facet("independence"), "smaller", (
        "Did {a} become independent before {b}?", "Is the date of independence of {a} earlier than that of {b}?",
        "Did {a} gain independence earlier than {b}?", "Has {a} been independent for longer than {b}?")),
    "life": (Facet("life"), "larger", (
        "Is the life expectancy of {a} higher than that of {b}?", "Does {a} have a higher life expectancy than {b}?",
        "Is life expectancy in {a} above that in {b}?", "Do people in {a} live longer on average than in {b}?")),
}
"""What may be asked of two countries with yes or no: whether the first value is the `same` as the second, ..."""


def state(country: Country, key: str) -> str:
    """Return the sentence that states a fact of a country, '' where the fact is not known.

    One in four names its source first, so that not every sentence of the corpus has the same form.
    """
    fact = country.facts.get(key)
    if fact is None:
        return ""
    sentence = RELATIONS[key].sentence(country.name, fact.value, fact.note)
    attributed = sha256(f"{country.code}|{key}".encode()).digest()[0] % 4 == 0
    return f"According to the World Factbook, {sentence[0].lower()}{sentence[1:]}" if attributed else sentence
