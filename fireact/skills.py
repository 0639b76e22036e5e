"""The library of skills: named programs that helped with one question and may help with another
(after Voyager, Wang et al., 2023, arXiv 2305.16291).

While a teacher plays, what it learns can be recalled by the questions after it; where many are played at once, the
order in which they end decides what each of them finds. What is curated of its episodes is the library that the
student plays with, which does not grow.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from fireact.errors import DataError, FormatError
from fireact.jsonl import encode, read_located, write_atomic
from fireact.retrieval import stems
from fireact.strategy.language import parse_skill
from fireact.strategy.language.syntax import Call
from fireact.types import Question, Trajectory

SKILLS = "skills.jsonl"
"""A curated folder's library."""
SHOWN = 6
"""How many skills are recalled."""


@dataclass(frozen=True)
class Entry:
    """A skill, and the questions that it helped with."""

    id: str
    """Its name."""
    program: str
    questions: tuple[str, ...]


@dataclass
class Library:
    """Skills by their names."""

    entries: dict[str, Entry] = field(default_factory=dict)
    grows: bool = True

    @classmethod
    def of(cls, records: Iterable[Trajectory]) -> "Library":
        """What was learnt in some episodes, in their order."""
        library = cls()
        for record in records:
            for step in record.steps:
                if step.kind == "learn":
                    library.learn(step.argument or "", record.question)
        return library

    @classmethod
    def open(cls, path: Path) -> "Library":
        """A library on disk, which does not grow. Raises DataError."""
        return cls({entry.id: entry for entry in map(_checked, read_located(path, Entry))}, grows=False)

    def save(self, path: Path) -> None:
        """Write it."""
        write_atomic(path, "".join(encode(entry) + "\n" for entry in self.entries.values()))

    def recall(self, question: str, most: int = SHOWN) -> str:
        """The programs of the skills that are nearest to a question, by BM25 over their names and their questions."""
        import bm25s

        entries = list(self.entries.values())
        wanted, *known = stems([question, *(_described(entry) for entry in entries)])
        if not wanted or not any(known):
            return ""
        index = bm25s.BM25()
        index.index(known, show_progress=False)
        scores = index.get_scores(wanted)
        best = sorted(range(len(entries)), key=lambda at: -scores[at])[:most]
        names = [name for at in best if scores[at] > 0 for name in self._with_callees(entries[at].id)]
        return "\n\n".join(self.entries[name].program for name in dict.fromkeys(names))

    def _with_callees(self, name: str) -> list[str]:
        """A skill's name, and those of the skills that it calls."""
        found, left = [], [name]
        while left:
            now = left.pop()
            if now in self.entries and now not in found:
                found.append(now)
                left += [call.action for call in parse_skill(self.entries[now].program).body if isinstance(call, Call)]
        return found

    def learn(self, program: str, question: Question) -> str:
        """Keep a skill, or note that it helped again; return what became of it.

        The first program of a name stays: others of that name may not be told apart by who calls it.
        """
        try:
            skill = parse_skill(program)
        except FormatError as refusal:
            return str(refusal)
        known = self.entries.get(skill.name)
        if known is not None and known.program != str(skill):
            return f"There is another skill {skill.name}, which stays."
        if not self.grows:
            return f"{skill.name} is known." if known else "No skills are added to this library."
        solved = (*(known.questions if known else ()), question.text)
        self.entries[skill.name] = Entry(skill.name, str(skill), tuple(dict.fromkeys(solved))[:_MOST])
        return f"{skill.name} is {'known' if known else 'kept'}."


def _checked(located: tuple[str, Entry]) -> Entry:
    """An entry that holds the skill it is named after. Raises DataError."""
    where, entry = located
    try:
        name = parse_skill(entry.program).name
    except FormatError as refusal:
        raise DataError(f"{where}: {refusal}; restore the file, or take the line out") from None
    if name != entry.id:
        raise DataError(f"{where}: the entry {entry.id!r} holds the skill {name!r}; restore the file, or take the line "
                        "out")
    return entry


_MOST = 8
"""So many questions describe a skill: the more, the more it is like any question."""


def _described(entry: Entry) -> str:
    return " ".join([entry.id.replace("_", " "), *entry.questions])
