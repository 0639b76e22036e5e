"""Google, through SerpAPI. What was paid for is kept and never asked again.

    SERPAPI_API_KEY=... python main.py tool=serpapi
    SERPAPI_API_KEY=... python main.py tool=serpapi tool.fields=rich tool.k=5
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from fireact.database import Journal
from fireact.errors import ToolError, ToolUnavailable
from fireact.keys import KeyVariable
from fireact.meter import Meter
from fireact.options import RUNTIME, Count, NotNegative, Positive
from fireact.prices import Price, per_call
from fireact.requests import Act
from fireact.toolspec import SEARCH, ToolSpec
from fireact.types import Observation
from fireact.web import Passing, Web

PARAMETERS = {"engine": "google", "google_domain": "google.com", "gl": "us", "hl": "en"}
"""FireAct's, in its tools/search.py."""
LONGEST = 2048
"""Characters: Google takes no longer query."""

_NO_FACTS = {"title", "type", "description", "entity_type", "kgmid", "website"}


@dataclass(kw_only=True)
class Serpapi:
    """Searches Google."""

    actions: ClassVar[tuple[str, ...]] = ("search",)
    specs: ClassVar[tuple[ToolSpec, ...]] = (SEARCH,)
    stateless: ClassVar[tuple[str, ...]] = ("search",)
    """The actions that are answered alike in every episode."""

    home: Annotated[Path, RUNTIME]
    """Where answers are kept, unless `cache` says otherwise."""
    fields: Literal["faithful", "rich"] = "faithful"
    """faithful: FireAct's one text, the first there is of the answer box's answer, snippet and highlighted words, the
    first organic result's snippet, and the word None. It is the default because the released trajectories, and hence
    students trained on them, know no other observations. rich: all of the answer box with its list or table, the
    knowledge graph, and `k` organic results with their titles."""
    k: Count = 3
    """For rich: how many organic results are shown."""
    chars: Count = 800
    """For rich: the most characters shown."""
    base_url: str = "https://serpapi.com/search.json"
    key_env: Annotated[KeyVariable, RUNTIME] = "SERPAPI_API_KEY"
    """The environment variable that holds the key, which itself is never written anywhere."""
    cache: Annotated[Path | None, RUNTIME] = None
    """The file of kept answers, which runs may share; None: web.sqlite in `home`."""
    journal: Annotated[Journal, RUNTIME] = "wal"
    """How that file is written, see `database.Journal`; a run gives its own `journal`."""
    timeout: Annotated[Positive, RUNTIME] = 60.0
    """Seconds a search may take, and each of its repetitions."""
    retries: Annotated[int, Field(ge=0), RUNTIME] = 4
    """Repetitions after a passing fault (429, 5xx, a dropped connection), with back-off."""
    connections: Annotated[Count, RUNTIME] = 8
    """Calls under way at once."""
    price_search: Annotated[NotNegative | None, RUNTIME] = None
    """US dollars a search, by your plan with SerpAPI; None: unknown, which a budget in money refuses."""
    meter: Annotated[Meter, RUNTIME] = field(default_factory=Meter)

    async def __call__(self, act: Act) -> Observation:
        """Search once. Raises what protocols.Tool names: an empty or an overlong search is a ToolError."""
        query = " ".join(act.argument.split())
        if not query:
            raise ToolError("the search was empty; write what to look up, e.g. search[Paris]")
        if len(query) > LONGEST:
            raise ToolError(f"the search has {len(query)} characters; write a few words, e.g. search[Paris]")
        answer = await self._web.get({**PARAMETERS, "q": query})
        if self.fields == "faithful":
            return Observation(faithful(answer))
        return Observation(rich(answer, self.k, self.chars) or f"Nothing was found for {query[:60]!r}; "
                                                               "try other words.")

    def price(self) -> Price | None:
        """See `protocols.Paid`."""
        return None if self.price_search is None else per_call(self.price_search)

    @property
    def unpriced(self) -> str | None:
        """See `protocols.Paid`."""
        return None if self.price() else "what a search by SerpAPI costs is unknown; set tool.price_search (US dollars)"

    async def close(self) -> None:
        """Let go of the connections, if there are any."""
        if "_web" in vars(self):
            await self._web.close()

    @cached_property
    def _web(self) -> Web:
        return Web(name="SerpAPI", url=self.base_url, cache=self.cache or self.home / "web.sqlite", judge=judge,
                   journal=self.journal,
                   key_env=self.key_env, timeout=self.timeout, retries=self.retries, connections=self.connections,
                   paid=True, price=self.price_search, meter=self.meter)


def judge(status: int, answer: dict[str, Any]) -> Exception | None:
    """See `web.Judge`. That Google found nothing comes as an error with status 200, and is an answer."""
    error = answer.get("error")
    said = " ".join(error.split())[:200] if isinstance(error, str) else ""
    if "run out of searches" in said or "searches for the month" in said:
        return ToolUnavailable(f"SerpAPI's quota is used up: {said} Raise it or wait for the next month, then start "
                               "the same command again; what was found is kept")
    if status == 400 and "`q`" in said:
        return ToolError(f"Google refuses this search: {said}")
    if status != 200:
        return None
    if said and "returned any results" not in said:
        return Passing(f"failed: {said}")
    metadata = answer.get("search_metadata")
    state = metadata.get("status", "Success") if isinstance(metadata, dict) else "Success"
    return None if state == "Success" else Passing(f"left the search in the state {state!r}")


def faithful(answer: Mapping[str, Any]) -> str:
    """What FireAct showed of an answer (its tools/search.py); 'None' where it would have crashed on an empty list."""
    box, words, first = _mapping(answer.get("answer_box")), None, {}
    if isinstance(box.get("snippet_highlighted_words"), list):
        words = box["snippet_highlighted_words"]
    if isinstance(answer.get("organic_results"), list):
        first = _mapping(next(iter(answer["organic_results"]), None))
    for place, name in ((box, "answer"), (box, "snippet")):
        if name in place:
            return _line(place[name])
    if words:
        return _line(words[0])
    return _line(first.get("snippet"))


def rich(answer: Mapping[str, Any], k: int, chars: int) -> str:
    """The answer box, the knowledge graph and `k` organic results, a line each, in at most `chars` characters.

    Empty where there is none of them.
    """
    organic = answer.get("organic_results")
    results = [_mapping(result) for result in organic] if isinstance(organic, list) else []
    shown = [_titled(result, _flat(result["snippet"])) for result in results if _flat(result.get("snippet"))][:k]
    lines = [line for line in (_box(_mapping(answer.get("answer_box"))),
                               _graph(_mapping(answer.get("knowledge_graph"))), *shown) if line]
    return _shorten(list(dict.fromkeys(lines)), chars)


def _box(box: Mapping[str, Any]) -> str:
    """The answer, or what a calculator or converter gave; else the text; and the list or table below it."""
    contents = _mapping(box.get("contents"))
    found = [_flat(box.get("answer") or box.get("result")), _flat(box.get("snippet"))]
    found += [_flat(box.get(name) or contents.get(name)) for name in ("list", "table")]
    return _titled(box, " ".join(dict.fromkeys(filter(None, found))))


def _graph(graph: Mapping[str, Any]) -> str:
    """What Google knows of a thing: its title, kind, description and facts, such as born: August 4, 1961."""
    kind = _flat(graph.get("type"))
    told = [_flat(graph.get("description")), *(f"{name.replace('_', ' ')}: {text}" for name, text in _facts(graph))]
    text = ". ".join(part.rstrip(".") for part in told if part)
    name = _flat(graph.get("title")) + (f" ({kind})" if kind else "")
    return _titled({"title": name}, f"{text}." if text else "")


def _facts(graph: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in graph.items():
        if isinstance(value, str) and name not in _NO_FACTS and not value.startswith(("http://", "https://")):
            yield name, _flat(value)


def _titled(result: Mapping[str, Any], text: str) -> str:
    title = _flat(result.get("title"))
    return f"{title}: {text}" if text and title else text


def _shorten(lines: list[str], chars: int) -> str:
    """As many lines as fit; the first is cut at a word where it alone is too long."""
    shown = ""
    for line in lines:
        longer = f"{shown}\n{line}" if shown else line
        if len(longer) > chars:
            break
        shown = longer
    if shown or not lines:
        return shown
    cut = lines[0][: max(0, chars - 3) + 1].rpartition(" ")[0] or lines[0][: max(0, chars - 3)]
    return f"{cut}..."[:chars]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _line(value: Any) -> str:
    return " ".join(str(value).split())


def _flat(value: Any, separators: tuple[str, ...] = ("; ", ", ")) -> str:
    """A text or number, or a list or table of them, on one line; empty for anything else."""
    if isinstance(value, list):
        return separators[0].join(filter(None, (_flat(part, separators[1:] or separators) for part in value)))
    return "" if value is None or isinstance(value, (dict, bool)) else _line(value)
