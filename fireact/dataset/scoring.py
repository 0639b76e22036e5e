"""How an answer is judged: exact match and F1, yes or no, and the letter of an option.

Each in two ways: `faithful`, as FireAct's tasks/*.py do it, quirks included, so that numbers compare with the paper's;
and `strict`, which reads an answer as a careful person would. Exact match and F1 are HotpotQA's official evaluation
script (2018), with the rule that yes and no share nothing with longer answers.
"""

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

from fireact.types import Score

Scoring = Literal["faithful", "strict"]

WRONG, RIGHT = Score(em=0.0, f1=0.0), Score(em=1.0, f1=1.0)

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_CLOSED = {"yes", "no", "noanswer"}

_PLAIN = str.maketrans({**dict.fromkeys("\u2018\u2019\u201a\u2032\u00b4`", "'"),
                        **dict.fromkeys("\u201c\u201d\u201e\u00ab\u00bb\u2033", '"'),
                        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-"), "\u2026": "..."})
_LETTERS = str.maketrans({"\u0142": "l", "\u0141": "L", "\u00f8": "o", "\u00d8": "O", "\u00df": "ss", "\u00e6": "ae",
                          "\u00c6": "AE", "\u0153": "oe", "\u0152": "OE", "\u0111": "d", "\u0110": "D"})

_WRAPPING = " \t\n\"'*_`$"
_LEAD = re.compile(r"(?:(?:so|thus|hence|therefore)\b,?\s*)?(?:(?:the|my)\s+)?(?:(?:final|correct|best|right)\s+)?"
                   r"(?:answer|option|choice)\b\s*(?:(?:is|would be|should be)\b\s*:?|:)?\s*"
                   r"(?:(?:the\s+)?(?:option|choice|letter)\b\s*:?\s*)?", re.IGNORECASE)
_STATED = re.compile(r"\b(?:answer|option|choice)\b\s*(?:(?:is|would be|should be)\b\s*:?|:)\s*", re.IGNORECASE)

_SOFT = re.compile(
    rf"(?:(?:(?:i|we)(?:\s+would|\s+will|'d|'ll)?\s+(?:think|believe|guess|suppose|say|choose|pick|select|go with)"
    rf"(?:\s+that)?|(?:it|this|that|the\s+(?:statement|claim))(?:\s+is|'s)|(?:most\s+|very\s+)?(?:probably|likely)|"
    rf"definitely|certainly)\b,?\s*)+(?:(?:the\s+)?(?:option|choice|letter|answer)\b\s*:?\s*)?|{_LEAD.pattern}-\s+",
    re.IGNORECASE)
"""What may come before an answer without being a part of it: "I think", "Probably", "It is", "Final answer -"."""
_BOXED = re.compile(r"\\boxed\s*\{\s*(?:\\(?:text|textbf|mathrm|mathbf)\s*\{([^{}]*)\}|([^{}]*))\s*\}")

_CLOSING = r"(?=\s*(?:$|[,.;:!()\-\"'*]|(?:it|they|he|she|this|that|these|those|we|because|since|as|both|not)\b))"
_POLAR = re.compile(rf"(?:(yes|yep|yeah|yup)\b(?!\s*(?:/|or\b|and\s+no\b))|(true|no|nope|false)\b{_CLOSING})",
                    re.IGNORECASE)
_SAID = re.compile(r"[\s(\[\"'*]*(?:yes|yep|yeah|yup|true|no|nope|false)\s*(?:[,.;:!(]|-\s|because\b|since\b)",
                   re.IGNORECASE)
"""A yes or no that is said first: what is unclear or insufficient behind it is its reason."""
_NO = ("no", "nope", "false")
_DOUBT = re.compile(r"not sure|unsure|uncertain|i ", re.IGNORECASE)
_UNDECIDED = re.compile(
    r"\b(?:not sure|unsure|uncertain|unknown|unclear|not clear|undetermined|i (?:do not|don't|cannot|can't) |"
    r"(?:cannot|can't|could not|couldn't) be (?:determined|answered|said)|not enough|insufficient|"
    r"no (?:information|evidence|data|idea|answer))\b", re.IGNORECASE)

_LETTER = re.compile(r"[(\[]?([A-Za-z])[)\]]?[.:,]?")
_LABELLED = re.compile(r"(?:[(\[]([A-Za-z])[)\]]|([A-Za-z])[).:])[.:]?\s+(.+)", re.DOTALL)
_BARE = re.compile(r"[(\[]?([A-Z])[)\]]?(?:\s*-\s+|,?\s+)(.+)", re.DOTALL)
_CONFIRMED = re.compile(r"(?<!\w)(?:[(\[]([A-Za-z])[)\]]|([A-Z]))\s+(?:is|would be|must be)\s+(?:the\s+)?"
                        r"(?:(?:(?:most|best|only|correct|right|final)\s+)*(?:answer|option|choice)|correct|right|best)\b"
                        r"(?=\s*(?:$|[,.;:!*)]|because\b|since\b|as\b))")
_OTHER = re.compile(r"(?:or|and|is\s+not|isn't)\b|[&/]", re.IGNORECASE)
_REASON = re.compile(r"(?:because|since)\b", re.IGNORECASE)


def normalize(text: str) -> str:
    """Lower the case, drop punctuation and the articles a, an, the, squeeze spaces."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(answer: str, gold: str) -> float:
    """1.0 where both are equal after normalisation, else 0.0."""
    return float(normalize(answer) == normalize(gold))


def f1(answer: str, gold: str) -> float:
    """The harmonic mean of token precision and recall; 0 where one side is yes, no or noanswer and they differ."""
    ours, theirs = normalize(answer), normalize(gold)
    if ours != theirs and _CLOSED & {ours, theirs}:
        return 0.0
    shared = sum((Counter(ours.split()) & Counter(theirs.split())).values())
    if shared == 0:
        return 0.0
    precision, recall = shared / len(ours.split()), shared / len(theirs.split())
    return 2 * precision * recall / (precision + recall)


def score(answer: str | None, answers: Iterable[str]) -> Score:
    """The best score of an answer against the canonical one and its aliases.

    No answer, or one that is empty once normalised, scores 0, unless it is a gold one to the letter ("The The", "!!!").
    So does any answer where no gold one is known.
    """
    golds = list(answers)
    if not answer or not answer.strip():
        return WRONG
    if any(answer.strip().lower() == gold.strip().lower() for gold in golds):
        return RIGHT
    if not normalize(answer):
        return WRONG
    return Score(em=max((exact_match(answer, gold) for gold in golds), default=0.0),
                 f1=max((f1(answer, gold) for gold in golds), default=0.0))


def short_answer(answer: str | None, answers: Sequence[str], how: Scoring) -> Score:
    """Judge a short answer by exact match and F1 (HotpotQA, Bamboogle).

    `faithful` knows the canonical answer only, as the original does. `strict` takes the best of all aliases, with and
    without accents, typographic quotes and dashes: it gives no answer less than `faithful` gives.
    """
    if how == "faithful" or not answer:
        return score(answer, answers[:1])
    written, folded = score(answer, answers), score(fold(answer), map(fold, answers))
    return Score(max(written.em, folded.em), max(written.f1, folded.f1))


def fold(text: str) -> str:
    """Write a text without accents, with plain quotes and dashes."""
    plain = unicodedata.normalize("NFKD", text.translate(_PLAIN)).translate(_LETTERS)
    return "".join(char for char in plain if not unicodedata.combining(char))


def yes_no(answer: str | None, gold: str, how: Scoring) -> Score:
    """Judge an answer whose gold one is 'yes' or 'no' (StrategyQA).

    `faithful` looks at how it begins: "not sure" and "Nobody knows" are a no, "The answer is no" is wrong.
    """
    if not answer:
        return WRONG
    said = answer.lower().startswith(gold) if how == "faithful" else read_yes_no(answer) == gold
    return RIGHT if said else WRONG


def read_yes_no(answer: str) -> str | None:
    """What an answer says: 'yes', 'no', or None where it leaves that open, as "not sure" and "None" do."""
    text = answer.translate(_PLAIN).strip(_WRAPPING)
    said = [*_soft(text), text, *(text[lead.end():] for lead in _leads(text))]
    undecided = _UNDECIDED.search(text)
    if undecided and (_DOUBT.match(undecided[0]) or not any(map(_SAID.match, said))):
        return None
    read = [found for part in said if (found := _POLAR.match(part.lstrip(_WRAPPING + "([")))]
    return ("no" if read[-1][0].lower() in _NO else "yes") if read else None


def choice(answer: str | None, gold: str, choices: Sequence[str], how: Scoring) -> Score:
    """Judge an answer whose gold one is the letter of an option (MMLU).

    `faithful` looks at its first character: "All of the above" and "Answer: C" are an A, "(C)" is wrong.
    """
    if not answer:
        return WRONG
    said = answer.lower().startswith(gold.lower()) if how == "faithful" else gold in read_choice(answer, choices)
    return RIGHT if said else WRONG


def read_choice(answer: str, choices: Sequence[str]) -> set[str]:
    """The letters that an answer may mean: one, more where options have the same text, or none.

    Understood are "C", "(C)", "C. text", "Answer: C", "the answer is (C)", "C is correct", and the text of an option.
    """
    options = {string.ascii_uppercase[i]: _same(option) for i, option in enumerate(choices)}
    text = answer.translate(_PLAIN).strip()
    # The soft ones last: an option may be a sentence that begins with "It is".
    for said in reversed([*_soft(text), text, *(text[lead.end():] for lead in _leads(text))]):
        said = said.strip()
        for reading in (said, said.split("\n")[0]):
            if meant := _options(reading, options):
                return meant
    return set()


def _leads(text: str) -> list[re.Match[str]]:
    """The places behind "Answer:" and "the answer is", in order."""
    opening = _LEAD.match(text)
    return [*([opening] if opening else []), *_STATED.finditer(text)]


def _soft(text: str) -> list[str]:
    """What a text says behind "I think" and the like, and in its last box."""
    opening = _SOFT.match(text)
    boxed = list(_BOXED.finditer(text))
    return [*([text[opening.end():]] if opening else []), *(box[1] or box[2] or "" for box in boxed[-1:])]


def _options(said: str, options: dict[str, str]) -> set[str]:
    """The options that a text names by letter, by letter and text, or by text."""
    bare = said.strip(_WRAPPING)
    single = _LETTER.fullmatch(bare)
    if single and single[1].upper() in options:
        return {single[1].upper()}
    if by_text := _by_text(said, options):
        return by_text
    if labelled := _LABELLED.fullmatch(bare):
        letter, rest = (labelled[1] or labelled[2]).upper(), labelled[3]
        meant = _by_text(rest, options) or (set() if _OTHER.match(rest) else {letter})
        return {letter} & meant & set(options)
    plain = bare.replace("*", "")
    confirmed = {(found[1] or found[2]).upper() for found in _CONFIRMED.finditer(plain)}
    if len(confirmed) == 1 and _CONFIRMED.match(plain):
        return confirmed & set(options)
    if begun := _BARE.fullmatch(bare):
        letter, rest = begun[1], begun[2]
        return {letter} & set(options) if _REASON.match(rest) else {letter} & _by_text(rest, options)
    return set()


def _by_text(said: str, options: dict[str, str]) -> set[str]:
    """The options whose text this is; quotes, dollars and asterisks around it count only where they tell it apart."""
    exact = {letter for letter, option in options.items() if option == _same(said)}
    bare = _same(said).strip(_WRAPPING)
    return exact or {letter for letter, option in options.items() if option.strip(_WRAPPING) == bare}


def _same(option: str) -> str:
    """An option's text as far as it matters: signs stay, for -1 is not 1."""
    text = unicodedata.normalize("NFKC", option.translate(_PLAIN)).casefold()
    return " ".join(text.split()).removesuffix(".").rstrip()
