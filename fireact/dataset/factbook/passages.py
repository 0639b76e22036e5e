"""The corpus: each country as a dozen short passages of prose, of which a few sentences state the facts asked for."""

import re
from collections.abc import Iterable

from fireact.dataset.factbook.clean import clean, dig, latest, without_notes
from fireact.dataset.factbook.facts import Country, neighbours
from fireact.dataset.factbook.wordings import state
from fireact.retrieval import Passage

LONGEST = 1000
"""Characters of a passage's text."""
_LONGEST_CLAUSE = 300
_PARTS_OF_HISTORY = 2


def passages(country: Country) -> list[Passage]:
    """Write all passages about a country. Their ids are '<code>-<section>'; each section that says anything is one."""
    sections = {
        "overview": ("overview", _overview(country)),
        "geography": ("area and coastline", _geography(country)),
        "relief": ("highest point", _relief(country)),
        "borders": ("land borders", _borders(country)),
        "capital": ("capital", _capital(country)),
        "government": ("government", _government(country)),
        "symbols": ("national symbol", _symbols(country)),
        "anthem": ("national anthem and flag", _anthem(country)),
        "people": ("population", _people(country)),
        "economy": ("currency and economy", _economy(country)),
        "communications": ("internet and broadcasting", _communications(country)),
    }
    title = country.name.removeprefix("the ")
    short = [(key, what, _join(sentences)) for key, (what, sentences) in sections.items()]
    history = [(f"history-{i}", "history", text) for i, text in enumerate(_history(country), 1)]
    return [Passage(f"{country.code}-{key}", f"{title} ({what})", text) for key, what, text in short + history if text]


def _join(sentences: Iterable[str]) -> str:
    """Join sentences as far as they fit into one passage."""
    text = ""
    for sentence in sentences:
        if sentence and len(text) + len(sentence) < LONGEST:
            text = f"{text} {sentence}".strip()
    return text


def _say(country: Country, form: str, *path: str) -> str:
    """Put the cleaned text at `path` of the raw record into `form` ({c}: the country, {t}: the text), or return ''."""
    text = _clause(dig(country.record, *path))
    return _sentence(form.format(c=country.name, t=text)) if text else ""


def _say_latest(country: Country, form: str, *path: str) -> str:
    text = _clause(latest(country.record, *path))
    return _sentence(form.format(c=country.name, t=text)) if text else ""


def _clause(raw: str) -> str:
    """Clean a text and cut it at a clause, so that it can stand inside a sentence."""
    parts = [clean(part).strip(" .;") for part in re.split(r"<br\s*/?>|</?p>", raw)]
    text = without_notes("; ".join(part for part in parts if part))
    text = re.sub(r"\b(description|meaning|history): *", "", re.sub(r"\b(est|ca)\.", r"\1", text))
    while len(text) > _LONGEST_CLAUSE:
        cut = max(text.rfind(mark, 0, len(text) - 1) for mark in (";", ",", ". "))
        text = text[:cut].strip(" ,;.") if cut > 0 else text[:_LONGEST_CLAUSE].rsplit(" ", 1)[0]
    return text


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _overview(country: Country) -> list[str]:
    name = ("Government", "Country name")
    return [
        _say(country, "{c} is located in {t}", "Geography", "Location"),
        _say(country, "The full name of {c}: {t}", *name, "conventional long form"),
        _say(country, "In its own language the name of {c} is {t}", *name, "local long form"),
        _say(country, "On the name of {c}: {t}", *name, "etymology"),
        _say(country, "Former names of {c}: {t}", *name, "former"),
        _say(country, "In size {c} is {t}", "Geography", "Area - comparative"),
    ]


def _geography(country: Country) -> list[str]:
    return [
        state(country, "area"),
        state(country, "coastline"),
        _say(country, "The climate of {c}: {t}", "Geography", "Climate"),
        _say(country, "Natural hazards in {c}: {t}", "Geography", "Natural hazards"),
        _say(country, "{c} lies at {t}", "Geography", "Geographic coordinates"),
        _say(country, "Environmental issues in {c}: {t}", "Environment", "Environmental issues"),
    ]


def _relief(country: Country) -> list[str]:
    elevation = ("Geography", "Elevation")
    return [
        state(country, "summit") or _say(country, "The top of {c} is at {t}", *elevation, "highest point"),
        _say(country, "The terrain of {c} is {t}", "Geography", "Terrain"),
        _say(country, "The lowest point of {c} is {t}", *elevation, "lowest point"),
        _say(country, "The mean elevation of {c} is {t}", *elevation, "mean elevation"),
        _say(country, "Natural resources of {c}: {t}", "Geography", "Natural resources"),
        _say(country, "On the geography of {c}: {t}", "Geography", "Geography - note"),
    ]


def _borders(country: Country) -> list[str]:
    borders = [f"{name} ({length:,g} km)" for name, length in neighbours(country.record)]
    if not borders:
        return []
    every = " and ".join([", ".join(borders[:-1]), borders[-1]] if len(borders) > 1 else borders)
    return [
        state(country, "border"),
        _sentence(f"{country.name} borders {every}"),
        _say(country, "All land boundaries of {c} together measure {t}", "Geography", "Land boundaries", "total"),
    ]


def _capital(country: Country) -> list[str]:
    where = ("Government", "Capital")
    city = country.facts["capital"].value if "capital" in country.facts else f"the seat of government of {country.name}"
    return [
        state(country, "capital") or _say(country, "The seat of government of {c}: {t}", *where, "name"),
        _say(country, f"{city} lies at {{t}}", *where, "geographic coordinates"),
        _say(country, f"The time in {city} is {{t}}", *where, "time difference"),
        _say(country, f"On the name of {city}: {{t}}", *where, "etymology"),
        _say(country, "Large cities of {c}: {t}", "People and Society", "Major urban areas - population"),
    ]


def _government(country: Country) -> list[str]:
    return [
        state(country, "independence") or _say(country, "The independence of {c}: {t}", "Government", "Independence"),
        state(country, "holiday") or _say(country, "Public holidays in {c}: {t}", "Government", "National holiday"),
        _say(country, "{c} is a {t}", "Government", "Government type"),
        _say(country, "The constitution of {c}: {t}", "Government", "Constitution", "history"),
        _say(country, "The legal system of {c}: {t}", "Government", "Legal system"),
        _say(country, "{c} is divided into {t}", "Government", "Administrative divisions"),
    ]


def _symbols(country: Country) -> list[str]:
    return [
        state(country, "symbol") or _say(country, "{c} has these emblems: {t}", "Government", "National symbol(s)"),
        _say(country, "The national colors of {c} are {t}", "Government", "National color(s)"),
    ]


def _anthem(country: Country) -> list[str]:
    anthem = ("Government", "National anthem(s)")
    return [
        state(country, "anthem") or _say(country, "In {c} people sing {t}", *anthem, "title"),
        _say(country, "The words and music of the anthem of {c} are by {t}", *anthem, "lyrics/music"),
        _say(country, "How {c} came to its anthem: {t}", *anthem, "history"),
        _say(country, "The flag of {c}: {t}", "Government", "Flag"),
        _say(country, "World heritage in {c}: {t}", "Government", "National heritage",
             "selected World Heritage Site locales"),
    ]


def _people(country: Country) -> list[str]:
    people = "People and Society"
    return [
        state(country, "population"),
        state(country, "life"),
        _say(country, "Ethnic groups in {c}: {t}", people, "Ethnic groups"),
        _say(country, "Languages in {c}: {t}", people, "Languages"),
        _say(country, "Languages in {c}: {t}", people, "Languages", "Languages"),
        _say(country, "Where the people of {c} live: {t}", "Geography", "Population distribution"),
        _say(country, "Religions in {c}: {t}", people, "Religions"),
        _say(country, "The median age in {c} is {t}", people, "Median age", "total"),
    ]


def _economy(country: Country) -> list[str]:
    return [
        state(country, "currency"),
        _say(country, "The economy of {c}: {t}", "Economy", "Economic overview"),
        _say_latest(country, "The economic output of {c} per head is {t}", "Economy", "Real GDP per capita"),
        _say(country, "Industries of {c}: {t}", "Economy", "Industries"),
        _say(country, "{c} exports {t}", "Economy", "Exports - commodities"),
        _say(country, "The exports of {c} go to {t}", "Economy", "Exports - partners"),
        _say(country, "{c} imports {t}", "Economy", "Imports - commodities"),
        _say(country, "Farms in {c} produce {t}", "Economy", "Agricultural products"),
    ]


def _communications(country: Country) -> list[str]:
    return [
        state(country, "code"),
        _say(country, "Broadcasting in {c}: {t}", "Communications", "Broadcast media"),
        _say(country, "The internet is used by {t} of the people of {c}", "Communications", "Internet users",
             "percent of population"),
        _say(country, "Airports in {c}: {t}", "Transportation", "Airports"),
    ]


def _history(country: Country) -> list[str]:
    """Split the background into parts at sentences."""
    parts = [""]
    for sentence in re.split(r"(?<=[a-z\d)][.!?]) (?=[A-Z])", clean(dig(country.record, "Introduction", "Background"))):
        if len(parts[-1]) + len(sentence) >= LONGEST:
            parts.append("")
        parts[-1] = f"{parts[-1]} {sentence}".strip()
    return [part for part in parts[:_PARTS_OF_HISTORY] if len(part) <= LONGEST]
