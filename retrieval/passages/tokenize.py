"""Text to lexical terms, Korean and English: one function for the index and for the query.

Hangul goes through Kiwi's morphemes (content tags only), or is cut into pairs of syllables where Kiwi is not installed;
everything else goes through one pattern of words, identifiers and numbers. Both see the same normalised text, so
`Notion에` holds the term that `Notion` asks for. Which tags and which words are kept was chosen by BM25's nDCG@10 over
nine retrieval sets.
"""

import re
import threading
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from typing import Any, Self

import snowballstemmer

from models.packages import missing

_HANGUL_RANGE = r"\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff"
_HAN_KANA_RANGE = (
    r"\u3005\u3007\u303b\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_LETTER = rf"[^\W{_HANGUL_RANGE}{_HAN_KANA_RANGE}]"  # of any other script; digits and the underscore too

_HANGUL = re.compile(f"[{_HANGUL_RANGE}]")
_HANGUL_RUN = re.compile(f"[{_HANGUL_RANGE}]+")
_WORD = re.compile(
    rf"(?P<cjk>[{_HAN_KANA_RANGE}]+)"
    rf"|(?P<number>\d+(?:[.,:]\d+)+(?!{_LETTER}))"
    rf"|(?P<word>{_LETTER}+(?:(?:[.@'’-]|::){_LETTER}+)*(?:\+\+|\#)?)"
)
_PART = re.compile(r"[^\W_]+")
_CAMEL = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+|[^\W\d_A-Za-z]+")
_POSSESSIVE = re.compile(r"['’]s$", re.IGNORECASE)
_NEGATED = re.compile(r"n['’]t$", re.IGNORECASE)

# Nouns, stems of verbs and adjectives, adverbs (안, 못), affixes (비-, -적). Left out: particles, endings, pronouns,
# the copula and 하다/되다 as suffixes.
_CONTENT_TAGS = frozenset({"NNG", "NNP", "NNB", "NR", "VV", "VA", "VX", "VCN", "XR", "MAG", "XPN", "XSN"})
# Words of questions rather than of answers: without these, and with the negations kept, Korean sets gain a point
# and English ones five.
_KOREAN_STOP = frozenset(
    "되 있 수 이것 그것 저것 어떻 어떠하 위하 대하 관하 싶 주 보 왜 때 등 및 무엇 뭐 알 나 저".split()  # noqa: SIM905
)
_ENGLISH_STOP = frozenset(
    """a about an and are as at be been being by can could did do does done for from had has have he here how i if in
    into is it its may me might must my of on or shall she should so such than that the then there these they this
    those to us was we were what when where which who whom whose why will with would you your""".split()  # noqa: SIM905
)
_BLOCK = 1000  # characters given to Kiwi at once: bounds the cost of text without lines or spaces
_TERM = 64  # characters of a term at most
_SHORT = 2


class Tokenizer:
    """Lexical terms of a text. Thread-safe; one Korean analyser a process, loaded when it is first needed."""

    def __init__(self, *, korean: bool = True) -> None:
        self._korean = korean

    @classmethod
    def load(cls) -> Self:
        """Returns at once: the Korean model (0.5 s, 320 MB) loads when Hangul first arrives, or in `warm`."""
        return cls(korean=missing("kiwipiepy", "kiwipiepy_model") is None)

    def warm(self) -> None:
        """Loads the Korean model now; run in a thread, it loads in the background."""
        if self._korean:
            _kiwi().tokenize("준비")

    def terms(self, text: str) -> list[str]:
        """Terms in reading order, duplicates kept. Raises nothing, whatever the text holds."""
        found: list[str] = []
        for block in _blocks(_normalise(text)):
            found.extend(self._mixed_terms(block) if _HANGUL.search(block) else _word_terms(block))
        return found

    def _mixed_terms(self, block: str) -> list[str]:
        """Terms of the Hangul and the pattern's for the rest, in the order of the text."""
        placed = [(match.start(), term) for match in _WORD.finditer(block) for term in _match_terms(match)]
        placed.extend(_morphemes(block) if self._korean else _syllables(block))
        placed.sort(key=lambda item: item[0])
        return [term for _, term in placed]


_loading = threading.Lock()


@cache
def _load_kiwi() -> Any:
    from kiwipiepy import Kiwi

    # The multi-word and typo dictionaries changed no score and cost a second and 190 MB.
    return Kiwi(num_workers=1, load_multi_dict=False, load_typo_dict=False)


def _kiwi() -> Any:
    with _loading:
        return _load_kiwi()


def _normalise(text: str) -> str:
    """NFKC: full-width letters, half-width and decomposed Hangul become the usual ones. No lone surrogates."""
    if text.isascii():
        return text
    return unicodedata.normalize("NFKC", text.encode("utf-8", "replace").decode("utf-8"))


def _blocks(text: str) -> Iterator[str]:
    """Lines, the long ones cut at a space, or anywhere where there is none."""
    for line in text.splitlines():
        start = 0
        while len(line) - start > _BLOCK:
            space = line.rfind(" ", start + 1, start + _BLOCK)
            end = space if space > 0 else start + _BLOCK
            yield line[start:end]
            start = end
        if start < len(line):
            yield line[start:]


def _morphemes(block: str) -> Iterator[tuple[int, str]]:
    """Kiwi's terms, each with its place."""
    for token in _kiwi().tokenize(block):
        if _is_content(token):
            yield from ((token.start, term) for term in _korean_terms(token))


def _syllables(block: str) -> Iterator[tuple[int, str]]:
    """Pairs, each with its place: most nouns have two syllables, and a particle spoils only the pair that it is in."""
    for run in _HANGUL_RUN.finditer(block):
        yield from ((run.start(), term) for term in _bigrams(run.group()))


def _korean_terms(token: Any) -> Sequence[str]:
    form: str = token.form
    if form in _KOREAN_STOP:
        return ()
    if token.oov and len(form) > _SHORT:
        return [form[:_TERM], *_bigrams(form)]
    if len(form) > 2 * _SHORT - 1 and token.tag in ("NNG", "NNP"):
        return _compound_parts(form)
    return (form,)


@lru_cache(maxsize=65536)
def _compound_parts(noun: str) -> tuple[str, ...]:
    """The nouns inside a dictionary's compound (국민연금: 국민, 연금), which it would else hide; else the noun itself.

    Each part gives what it gives alone, where the analyser may cut it further.
    """
    parts = _kiwi().tokenize(noun, blocklist=[f"{noun}/NNG", f"{noun}/NNP"])
    if not all(part.tag in ("NNG", "NNP") and len(part.form) >= _SHORT and not part.oov for part in parts):
        return (noun,)
    return tuple(token.form for part in parts for token in _kiwi().tokenize(part.form) if _is_content(token)) or (noun,)


def _is_content(token: Any) -> bool:
    return token.tag.partition("-")[0] in _CONTENT_TAGS and _HANGUL.match(token.form) is not None


def _bigrams(run: str) -> list[str]:
    return [run[i : i + 2] for i in range(len(run) - 1)] or [run]


def _word_terms(block: str) -> list[str]:
    return [term for match in _WORD.finditer(block) for term in _match_terms(match)]


def _match_terms(match: re.Match[str]) -> Sequence[str]:
    run = match.group()
    if match.lastgroup == "cjk":
        return _bigrams(run)
    if match.lastgroup == "number":
        return (run.replace(",", "")[:_TERM],)
    if len(run) > _TERM:
        return [term for part in _PART.findall(run) for term in _identifier_terms(part[:_TERM])]
    return _identifier_terms(run)


@lru_cache(maxsize=65536)
def _identifier_terms(word: str) -> tuple[str, ...]:
    """`OvertimeService`: overtimeservic overtim servic; `os.path`: os.path os path; `E-Mail`: email mail."""
    word = _POSSESSIVE.sub("", word if word.isascii() else _unaccented(word))
    if _NEGATED.search(word):
        return ("not",)
    whole = word.lower()
    if word.isalpha() and (word.islower() or word.isupper() or word.istitle()):
        return () if whole in _ENGLISH_STOP and word not in ("IT", "US", "WHO") else (_stem(whole),)
    pieces = [piece.lower() for part in _PART.findall(word) for piece in _CAMEL.findall(part)]
    parts = [_stem(piece) for piece in pieces if len(piece) > 1 and piece not in _ENGLISH_STOP]
    hyphenated = "-" in word and all(len(part) > _SHORT for part in word.split("-"))
    joined = () if hyphenated else (_stem(whole.replace("-", "")),)
    return tuple(dict.fromkeys((*joined, *parts)))


def _unaccented(word: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", word) if not unicodedata.combining(c))


_stemmers = threading.local()


@lru_cache(maxsize=65536)
def _stem(word: str) -> str:
    if not hasattr(_stemmers, "english"):
        _stemmers.english = snowballstemmer.stemmer("english")  # it keeps state while stemming: one a thread
    stemmed: str = _stemmers.english.stemWord(word)
    return stemmed
