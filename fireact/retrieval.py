"""BM25 search over a corpus of passages, and the snippet that shows what was found.

    index = Index.open(Path("corpus.jsonl"), home=Path("outputs/indexes"))
    passages = [passage for passage, _ in index.search("capital of Bhutan", k=2)]
    print(snippet("capital of Bhutan", passages, chars=200))

On HotpotQA's 28,920 passages and two CPU cores (`python bench/search.py`): built once in 4 s, opened afterwards in
0.1 s, 0.5 ms a query, 0.8 ms a snippet of two passages.
"""

import hashlib
import json
import re
import shutil
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import groupby
from math import log
from pathlib import Path
from typing import Any

from fireact.errors import DataError
from fireact.jsonl import decode, distinct, encode, open_file, read_located

INDEX_VERSION = 1
"""To be raised with any change to what an index holds, such as how text becomes terms."""

TITLE_WEIGHT = 3
"""A title counts as if it stood this often before its text. With the gold titles of 500 HotpotQA questions as queries,
92% of their passages come first with 3, and 86% with 1."""

NEAR = 0.7
"""A sentence is shown beside the best one if it shares at least this part of what that one shares with the query, so
that a search for the capital of Nepal does not show that of Bhutan. From a gold passage of HotpotQA, with the question
as query and 200 characters, 70% of the supporting sentences are shown in 149 characters; with 0 it is 74% in 164."""

_TOKEN = r"(?u)\b(?!(?<=['\u2019])s\b)\w+\b"
"""Words of any length, so that 'Apollo 8' is not 'Apollo', but without the s of a genitive."""
_ACCENTS = re.compile("[\u0300-\u036f]")

_GAP = re.compile(r"(?<=[.!?])[\"'\u201d\u2019)\]]*\s+|\n")
_QUOTES = "\"'\u201c\u2018(["
_LAST_WORD = re.compile(r"(\S+)\.$")
_SHORT = re.compile(
    r"(?:adm|al|alt|approx|art|assoc|asst|aug|ave|bros|brig|ca|capt|cf|cmdr|co|col|corp|cpl|dec|dept|dr|ed|est|etc|"
    r"feb|fig|fr|ft|gen|gov|hon|ill|inc|jan|jr|lt|ltd|maj|messrs|mr|mrs|ms|mt|mts|no|nos|nov|oct|op|pres|prof|pron|"
    r"pvt|rep|rev|rt|sen|sep|sept|sgt|sq|sr|st|ste|var|vol|vs|"
    r"(?:[^\W\d]\.)*[^\W\d])", re.IGNORECASE)
_OPENING = re.compile(
    r"(A|After|All|Although|An|And|As|At|Because|Before|Both|But|By|During|Each|For|From|He|Her|His|However|If|In|It|Its|"
    r"Most|On|One|Other|She|Since|Some|The|Their|There|These|They|This|Those|To|Under|Until|When|Where|While|With)[\s,]")


@dataclass(frozen=True)
class Passage:
    """One text of a corpus. A corpus is a jsonl file of these; further keys are ignored."""

    id: str
    title: str
    text: str


class Index:
    """A corpus that can be searched. Its passages and scores stay on disk, mapped into memory."""

    def __init__(self, folder: Path) -> None:
        """Map a finished index. Raises DataError where its files are damaged."""
        import bm25s
        import numpy as np

        try:
            self._bm25 = bm25s.BM25.load(folder, mmap=True)
            self._ends = np.load(folder / "ends.npy", mmap_mode="r")
            self._passages = np.memmap(folder / "passages.jsonl", dtype=np.uint8, mode="r")
        except (OSError, ValueError) as error:
            raise DataError(f"the index {folder} is damaged ({error}); delete that folder to build it anew") from None

    @classmethod
    def open(cls, corpus: Path, home: Path) -> "Index":
        """Open the index of a corpus, which is built under `home` where it is not there yet.

        Raises DataError for a corpus that is missing, empty or broken, or where an id comes twice.
        """
        from filelock import FileLock

        folder = home / _key(corpus)
        if not folder.is_dir():
            home.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{folder}.lock"):
                if not folder.is_dir():
                    _build(corpus, folder)
        return cls(folder)

    def __len__(self) -> int:
        return len(self._ends)

    def search(self, query: str, k: int) -> list[tuple[Passage, float]]:
        """Return up to `k` passages that share a term with `query`, best first, with their BM25 scores.

        Passages of equal score come in the order of the corpus. A query without terms finds nothing.
        """
        import numpy as np

        terms = stems([query])[0]
        if not terms:
            return []
        scores = self._bm25.get_scores(terms)
        k = min(k, len(scores))
        worst = np.partition(scores, -k)[-k]
        found = np.flatnonzero((scores >= worst) & (scores > 0))
        best = found[np.argsort(-scores[found], kind="stable")][:k]
        return [(self[i], float(scores[i])) for i in best]

    def __getitem__(self, i: int) -> Passage:
        """The passage in a place of the corpus."""
        start = self._ends[i - 1] if i else 0
        return decode(Passage, bytes(self._passages[start: self._ends[i]]).decode(), f"passage {i} of the index")


@dataclass(frozen=True)
class Excerpt:
    """The sentences of one passage that are shown, in the order of the text."""

    passage: Passage
    sentences: tuple[str, ...]

    def __str__(self) -> str:
        shown = " ".join(self.sentences)
        bare = re.sub(r"\s*\([^()]*\)$", "", self.passage.title)
        title, first = stems([bare, self.sentences[0]])
        named = set(title) <= set(first)
        return shown if named else f"{self.passage.title}: {shown}"


@dataclass(frozen=True)
class _Candidate:
    passage: int
    place: int
    sentence: str
    score: float


def snippet(query: str, passages: Sequence[Passage], chars: int) -> str:
    """Show the sentences of `passages` (best first) that answer `query`, in about `chars` characters."""
    return render(excerpts(query, passages, chars))


def render(found: Sequence[Excerpt]) -> str:
    """Write excerpts on one line; a passage's title stands before them where its first sentence does not name it."""
    return " ".join(map(str, found))


def excerpts(query: str, passages: Sequence[Passage], chars: int) -> list[Excerpt]:
    """Pick the sentences that share most with `query`, as many as fit into `chars` characters when shown.

    The best sentence is always among them; where it alone is longer, it is cut at a word and ends in '...'.
    Sentences that share much less with the query are left out, see `NEAR`.
    """
    ranked = _rank(query, passages)
    if not ranked:
        return []
    chosen = ranked[:1]
    for candidate in ranked[1:]:
        if candidate.score < NEAR * chosen[0].score or candidate.score == 0:
            break
        if len(render(_gather([*chosen, candidate], passages))) <= chars:
            chosen.append(candidate)
    found = _gather(chosen, passages)
    return found if len(render(found)) <= chars else [_shorten(found[0], chars)]



def sentences(text: str) -> list[str]:
    """Split a text at line breaks and at the ends of sentences; each sentence is a substring of `text`.

    Behind an abbreviation ('St.', 'U.S.', 'J. R. R.') a sentence ends only where the next begins with a word that
    begins sentences, such as 'The'.
    """
    found, start = [], 0
    for gap in _GAP.finditer(text):
        if "\n" in gap[0] or _is_end(text[max(0, gap.start() - 40): gap.start()], text[gap.end(): gap.end() + 40]):
            found.append(text[start: gap.end()])
            start = gap.end()
    return [sentence for part in [*found, text[start:]] if (sentence := part.strip())]


def _is_end(before: str, after: str) -> bool:
    after = after.lstrip(_QUOTES)
    if after[:1].islower():
        return False
    word = _LAST_WORD.search(before)
    bare = word[1].lstrip(_QUOTES) if word else ""
    return not _SHORT.fullmatch(bare) or _OPENING.match(after) is not None


def _rank(query: str, passages: Sequence[Passage]) -> list[_Candidate]:
    """All sentences, first those that share the rarest terms with the query. A passage's title counts for each."""
    split = [(i, sentence) for i, passage in enumerate(passages)
             for sentence in sentences(passage.text) or [passage.title.strip()]]
    wanted, *rest = map(set, stems([query, *(passage.title for passage in passages), *(text for _, text in split)]))
    titles, own = rest[: len(passages)], rest[len(passages):]
    shared = [wanted & (titles[i] | terms) for (i, _), terms in zip(split, own, strict=True)]
    count = Counter(term for terms in shared for term in terms)
    candidates = [_Candidate(i, place, text, sum(log(1 + len(split) / count[term]) for term in sorted(terms)))
                  for place, ((i, text), terms) in enumerate(zip(split, shared, strict=True))]
    return sorted(candidates, key=lambda candidate: -candidate.score)


def _gather(chosen: Sequence[_Candidate], passages: Sequence[Passage]) -> list[Excerpt]:
    in_order = sorted(chosen, key=lambda candidate: candidate.place)
    return [Excerpt(passages[i], tuple(candidate.sentence for candidate in group))
            for i, group in groupby(in_order, key=lambda candidate: candidate.passage)]


def _shorten(excerpt: Excerpt, chars: int) -> Excerpt:
    """Cut the only sentence of an excerpt at a word, but not below its first."""
    sentence, short = excerpt.sentences[0], excerpt
    # Twice: where the part cut off named the title, the title now stands before the sentence and takes room.
    for _ in range(2):
        title = len(str(short)) - len(short.sentences[0])
        words = sentence[: max(0, chars - title - len("...")) + 1].split(" ")[:-1]
        short = Excerpt(excerpt.passage, ((" ".join(words).rstrip(" ,;:") or sentence.split()[0]) + "...",))
    return short


def stems(texts: Sequence[str]) -> list[list[str]]:
    """The stemmed terms of each text, without the commonest words."""
    return _tokenize(texts, ids=False)


def _tokenize(texts: Sequence[str], *, ids: bool) -> Any:
    """The stemmed terms of each text: as lists of strings, or as bm25s's ids and vocabulary."""
    import bm25s
    from Stemmer import Stemmer

    plain = [text if text.isascii() else _ACCENTS.sub("", unicodedata.normalize("NFKD", text)) for text in texts]
    return bm25s.tokenize(plain, token_pattern=_TOKEN, stopwords="en", stemmer=Stemmer("english"),  # pyright: ignore
                          return_ids=ids, show_progress=False)


def _key(corpus: Path) -> str:
    """A hash of everything that an index follows from."""
    settings = [INDEX_VERSION, TITLE_WEIGHT, _TOKEN, version("bm25s"), version("PyStemmer")]
    digest = hashlib.sha256(json.dumps(settings).encode())
    with open_file(corpus) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()[:16]


def _build(corpus: Path, folder: Path) -> None:
    """Build an index beside `folder` and move it there whole. The caller holds the lock."""
    part = folder.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        _write(corpus, part)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write(corpus: Path, folder: Path) -> None:
    import bm25s
    import numpy as np

    texts, ends = [], []
    with open(folder / "passages.jsonl", "wb") as out:
        for passage in distinct(read_located(corpus, Passage)):
            out.write(f"{encode(passage)}\n".encode())
            ends.append(out.tell())
            texts.append(" ".join([passage.title] * TITLE_WEIGHT + [passage.text]))
    tokens = _tokenize(texts, ids=True)
    if not tokens.vocab:
        raise DataError(f"{corpus} holds no words; expected one passage a line, e.g. "
                        '{"id": "1", "title": "Thimphu", "text": "Thimphu is the capital of Bhutan."}')
    bm25 = bm25s.BM25()
    bm25.index(tokens, show_progress=False)
    bm25.save(folder, show_progress=False)
    np.save(folder / "ends.npy", np.array(ends, dtype=np.int64))
