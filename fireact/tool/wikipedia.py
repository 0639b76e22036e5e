"""Wikipedia as ReAct's agents read it: search[title] opens a page, lookup[words] goes through its sentences.

    python main.py tool=wikipedia tool.contact=me@example.org strategy.prompt=wikipedia

As in ReAct (Yao et al. 2023, its wikienv.py), but through the MediaWiki API rather than the pages' HTML, and with a
splitter that knows abbreviations. Any wiki with the extension TextExtracts will do:
tool.base_url=https://de.wikipedia.org/w/api.php
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from fireact import retrieval
from fireact.database import Journal
from fireact.errors import ConfigError, ToolError
from fireact.lookups import opened, shown
from fireact.options import RUNTIME, Count, Positive
from fireact.recordings import same
from fireact.requests import Act
from fireact.toolspec import LOOKUP, ToolSpec, text_argument
from fireact.types import Observation, Step
from fireact.web import AGENT, Passing, Web

LONGEST = 255
"""Characters: no title has more bytes."""
_FORMAT = {"action": "query", "format": "json", "formatversion": "2"}
_PASSING = ("ratelimited", "maxlag", "readonly", "internal_api_error")


@dataclass(frozen=True)
class _Page:
    title: str
    text: str


@dataclass(kw_only=True)
class Wikipedia:
    """Opens pages and looks words up in them. Which page is open follows from the episode's past alone."""

    actions: ClassVar[tuple[str, ...]] = ("search", "lookup")
    specs: ClassVar[tuple[ToolSpec, ...]] = (
        ToolSpec("search", "opens the page of that title and shows how it begins.",
                 text_argument("title", "the title of a page")), LOOKUP)
    stateless: ClassVar[tuple[str, ...]] = ("search",)
    """The actions that are answered alike in every episode."""

    home: Annotated[Path, RUNTIME]
    """Where answers are kept, unless `cache` says otherwise."""
    sentences: Count = 5
    """How many of a page are shown when it is opened (ReAct: 5)."""
    similar: Count = 5
    """How many titles are named where there is no such page (ReAct: 5)."""
    base_url: str = "https://en.wikipedia.org/w/api.php"
    contact: Annotated[str, Field(pattern="^[ -~]*$"), RUNTIME] = ""
    """A mail or web address for the User-Agent, by which Wikimedia asks to know whom to write to."""
    cache: Annotated[Path | None, RUNTIME] = None
    """The file of kept answers, which runs may share; None: web.sqlite in `home`."""
    journal: Annotated[Journal, RUNTIME] = "wal"
    """How that file is written, see `database.Journal`; a run gives its own `journal`."""
    timeout: Annotated[Positive, RUNTIME] = 30.0
    """Seconds a request may take, and each of its repetitions."""
    retries: Annotated[int, Field(ge=0), RUNTIME] = 4
    """Repetitions after a passing fault (429, 5xx, a dropped connection), with back-off."""
    connections: Annotated[Count, RUNTIME] = 4
    """Calls under way at once; Wikimedia asks for few."""

    async def __call__(self, act: Act) -> Observation:
        """Search or look up once. Raises what protocols.Tool names."""
        words = " ".join(act.argument.split())
        if not words:
            raise ToolError(f"the {act.tool} was empty; write e.g. search[Paris] or lookup[population]")
        return await (self._lookup(words, act.past) if act.tool == "lookup" else self._search(words))

    async def _search(self, title: str) -> Observation:
        page = await self._page(title)
        if page is None:
            return Observation(f"Could not find {title[:60]}.{await self._similar(title)}")
        return Observation(" ".join(retrieval.sentences(page.text)[: self.sentences]), (page.title,))

    async def _lookup(self, words: str, past: Sequence[Step]) -> Observation:
        titles, number = opened(past, words)
        page = await self._page(titles[0]) if titles else None
        if page is None:
            raise ToolError("there is no page to look into yet; open one first, e.g. search[Paris]")
        found = [sentence for sentence in retrieval.sentences(page.text) if same(words) in same(sentence)]
        return Observation(shown(found, number), (page.title,))

    async def _page(self, title: str) -> _Page | None:
        """The page that Wikipedia's own search box would open; None where it would rather show a list."""
        if len(title) > LONGEST:
            return None
        answer = await self._web.get({
            **_FORMAT, "generator": "search", "gsrsearch": title, "gsrwhat": "nearmatch", "gsrlimit": "1",
            "redirects": "1", "prop": "extracts|pageprops", "ppprop": "disambiguation", "explaintext": "1",
            "exsectionformat": "wiki"})
        for page in answer.get("query", {}).get("pages", []):
            text = _prose(page.get("extract") or "")
            if text and "disambiguation" not in page.get("pageprops", {}):
                return _Page(page["title"], text)
        return None

    async def _similar(self, title: str) -> str:
        answer = await self._web.get({**_FORMAT, "list": "search", "srsearch": title[:LONGEST], "srprop": "",
                                      "srlimit": str(self.similar + 1)})
        titles = [page["title"] for page in answer.get("query", {}).get("search", [])]
        others = [other for other in titles if same(other) != same(title)][: self.similar]
        return f" Similar: {others}." if others else ""

    async def close(self) -> None:
        """Let go of the connections, if there are any."""
        if "_web" in vars(self):
            await self._web.close()

    @cached_property
    def _web(self) -> Web:
        agent = AGENT.replace("(", f"({self.contact}; ") if self.contact else AGENT
        return Web(name="Wikipedia", url=self.base_url, cache=self.cache or self.home / "web.sqlite", judge=judge,
                   journal=self.journal,
                   agent=agent, timeout=self.timeout, retries=self.retries, connections=self.connections)


def judge(status: int, answer: dict[str, Any]) -> Exception | None:
    """See `web.Judge`. MediaWiki tells its failures with status 200."""
    error = answer.get("error")
    if status != 200 or not isinstance(error, dict):
        return None
    code, said = str(error.get("code")), " ".join(str(error.get("info")).split())[:200]
    if code.startswith(_PASSING):
        return Passing(f"failed: {said}")
    if "search" in code:
        return ToolError(f"Wikipedia refuses this search: {said}")
    return ConfigError(f"Wikipedia refuses the request ({code}): {said}; check tool.base_url")


def _prose(extract: str) -> str:
    """A page's paragraphs and list entries, a line each, without headings and what is no sentence (as ReAct does)."""
    lines = (line.strip() for line in extract.split("\n"))
    return "\n".join(line for line in lines if len(line.split()) > 2 and not line.startswith("=="))
