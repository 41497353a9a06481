"""`rewrite_query`: a question in the words of the documents, without what is only said to a person.

By the engine where it is a capable one; else by rules, which take politeness and the wrapping of a question away.
"""

import asyncio
import re

from models.base import Message, Prompt, Sampling
from models.errors import ModelError
from server.answering.generators import Generators

SECONDS = 3.0
LONGEST = 300  # characters; a longer rewriting is an answer, or a loop
RULED = 500  # characters; the rules try again after each wrapping, so their time grows with the square of the length
_TASK = (
    "Rewrite the user's question as one search query for a document index: the facts, names and terms that the answer"
    " would hold. Keep its language. Reply with the query alone."
)
_SAMPLING = Sampling(max_tokens=64, temperature=0.0, auxiliary=True)

_OPENINGS = re.compile(
    r"^(?:"
    r"(?:hi|hello|hey|excuse me|please|kindly|so|well|um|ok(?:ay)?)\b"
    r"|(?:can|could|would|will) (?:you|someone|anyone) (?:please |kindly )?"
    r"(?:tell|show|teach|explain|describe|help|find|give|let)(?: to)?(?: (?:me|us))?(?: know)?(?: (?:out|understand))?"
    r"|i(?:'d| would)? (?:like|want|need|wish) to (?:know|ask|find out|learn|understand|see)"
    r"|i(?:'m| am) (?:wondering|curious)|i (?:was wondering|wonder)|do you (?:happen to )?know|let me know"
    r"|(?:tell|show|explain to|give|help) (?:me|us)(?: understand)?|(?:explain|describe)"
    r"|what (?:is|are|was|were) (?=the\b|an?\b)|what(?:'s| is) (?=the\b|an?\b)"
    r"|(?:about|regarding|if|whether|the|an?)\b"
    r"|안녕하세요|안녕하십니까|안녕|저기요|저기|혹시나?|실례지만|죄송하지만|죄송한데요?|제발|그런데|근데"
    r")[\s,.!:]*",
    re.IGNORECASE,
)
_GIVE = r"(?:주세요|주시겠어요|주실 ?수 있(?:나요|을까요|어요)|주십시오|주시기 ?바랍니다|줄래요?|줘요?|다오|달라)"
_ENDINGS = re.compile(
    r"[\s,]*(?:"
    r"(?:please|thanks(?: a lot| in advance)?|thank you(?: very much| so much| in advance)?|for me)"
    r"|(?:에 ?(?:대해서?|관해서?|대한 ?(?:것|내용|정보))|[을를이가])?\s*(?:좀|한번|자세히|간단히|빨리)?\s*"
    rf"(?:(?:알려|가르쳐|말해|말씀해|설명해|찾아|보여)\s*{_GIVE}"
    r"|(?:알려|가르쳐|설명해)\s*(?:드려요|봐요?)"
    r"|궁금(?:합니다|해요?|하네요|한데요?)|알고\s*싶(?:습니다|어요?|은데요?)|부탁(?:드립니다|드려요|해요?|합니다)"
    r"|(?:무엇|뭐|뭔)(?:인가요|인지요|입니까|예요|에요|야|죠|지요|인지|가요))"
    r"|(?:이?란|은|는)\s*(?:무엇|뭐|뭔)(?:인가요|인지요|입니까|예요|에요|야|죠|지요|가요)"
    r"|감사합니다|고맙습니다|고마워요?"
    r")[\s.!?~^]*$",
    re.IGNORECASE,
)
_MARKS = " \t\n.,!?~:;…？！。"


def by_rules(query: str) -> str:
    """What is left without openings and endings; the query itself where that is nothing, or it is a long one. Pure."""
    if len(query) > RULED:
        return query
    left = query.strip(_MARKS)
    while (shorter := _ENDINGS.sub("", _OPENINGS.sub("", left, count=1), count=1).strip(_MARKS)) != left:
        left = shorter
    return left or query


async def rewritten(generators: Generators, query: str) -> tuple[str, str | None]:
    """The query to search for beside the one given, and why it is not a rewritten one, where it should have been."""
    if generators.style != "full":
        return by_rules(query), None
    try:
        async with asyncio.timeout(SECONDS):
            found = await _by_engine(generators, query)
    except TimeoutError:
        return query, f"rewrite_query: skipped, the engine took longer than {SECONDS:g} s"
    except ModelError as error:
        return query, f"rewrite_query: skipped, {error}"
    if not found or len(found) > LONGEST:
        return query, "rewrite_query: skipped, the engine wrote no query"
    return found, None


async def _by_engine(generators: Generators, query: str) -> str:
    """The first line that it writes."""
    prompt = Prompt((Message("system", _TASK), Message("user", query)), question=query)
    text = ""
    async with generators.client.stream(prompt, _SAMPLING) as deltas:
        async for delta in deltas:
            text += delta.text
    return next((line.strip().strip("\"'“”`") for line in text.splitlines() if line.strip()), "")
