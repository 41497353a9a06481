"""Greetings and thanks, and the short answers to them; pure. Nothing else is said in such a message, or it is none."""

import re

from retrieval.language import Language, language

_LONGEST = 60  # characters
_BETWEEN = r"[\s,.!?~…^;:)('\"’]|ㅎ|ㅋ|ㅠ|[\u2600-\u27bf\U0001f300-\U0001faff\ufe0f]"
_FILLERS = (
    r"ok(?:ay)?|great|cool|nice|perfect|super|yes|no|well|oh|all right|alright|got it|i see|very much|so much|a lot"
    r"|again|for (?:your|the) help|that helped(?: me)?(?: a lot)?|that was helpful|you(?: too)?|there|everyone|all"
    r"|네|넵|예|아|오|와|응|알겠습니다|알겠어요|알았어요?|오케이|정말(?:로)?|진짜|너무|대단히|매우|많이|다들|여러분"
    r"|도움이? ?(?:많이 )?(?:됐|되었|됬)(?:어요|습니다|네요|어)|답변|도와 ?주셔서|알려 ?주셔서|답변해 ?주셔서"
)
# In this order: who thanks and says goodbye has thanked.
_KINDS = (
    (
        "thanks",
        r"(?:many )?thanks|thank you|thx|ty|cheers|much appreciated|appreciate it"
        r"|고마워요?|고맙(?:습니다|네요|다|슴다)"
        r"|감사(?:합니다|해요|해|드립니다|드려요|했습니다)|땡큐|ㄱㅅ|수고(?:하셨습니다|하세요|했어요)",
    ),
    (
        "who",
        r"who are you|what are you|what can you do|are you (?:a bot|human|a robot)"
        r"|(?:너는?|넌|당신은?|네가) ?(?:누구|뭐)(?:야|니|세요|예요|인가요|에요)?"
        r"|누구(?:세요|야|니|시죠)|이름이? ?뭐(?:야|예요|에요|니)",
    ),
    (
        "greeting",
        r"hello|hi|hey|good (?:morning|afternoon|evening|day)|greetings|nice to meet you"
        r"|how are you(?: doing)?(?: today)?|how do you do"
        r"|안녕(?:하세요|하십니까|하셔요)?|반가워요?|반갑습니다"
        r"|좋은 (?:아침|저녁|오후|하루)(?:입니다|이에요|이네요|이야)?"
        r"|잘 ?지내(?:세요|요|니|나요|시나요|셨어요)?|하이|헬로",
    ),
    (
        "goodbye",
        r"(?:good)?bye(?: bye)?|good night|see you(?: later| soon| tomorrow)?"
        r"|have a (?:nice|good|great) (?:day|evening|weekend|one)"
        r"|잘 ?(?:가|있어|자)요?|안녕히 ?(?:계세요|가세요|주무세요)"
        r"|또 ?(?:봐요?|만나요|뵙겠습니다)|다음에 ?(?:봐요?|뵐게요)"
        r"|좋은 하루 ?(?:되세요|보내세요)|바이",
    ),
)
_AFTER = "|".join((_FILLERS, *(said for _, said in _KINDS)))
_PATTERNS = tuple(
    (
        kind,
        re.compile(
            rf"(?:{_BETWEEN})*(?:(?:{_FILLERS})(?:{_BETWEEN})+)*(?:{said})(?:(?:{_BETWEEN})+(?:{_AFTER}))*(?:{_BETWEEN})*",
            re.IGNORECASE,
        ),
    )
    for kind, said in _KINDS
)
_ANSWERS: dict[tuple[str, Language], str] = {
    ("thanks", "en"): "You're welcome! Ask whenever you have another question.",
    ("thanks", "ko"): "천만에요! 다른 궁금한 점이 있으면 언제든지 물어보세요.",
    ("who", "en"): "I answer questions from the documents that were added here, and name the places that I quote.",
    ("who", "ko"): "저는 등록된 문서에서 답을 찾아 출처와 함께 알려 드리는 도우미입니다.",
    ("greeting", "en"): "Hello! What would you like to know?",
    ("greeting", "ko"): "안녕하세요! 무엇이 궁금하신가요?",
    ("goodbye", "en"): "Goodbye! Come back whenever you have a question.",
    ("goodbye", "ko"): "안녕히 가세요! 궁금한 점이 있으면 언제든지 다시 찾아 주세요.",
}


def small_talk(message: str) -> str | None:
    """The answer, in the message's language, to one that is a greeting, thanks or a goodbye and nothing more."""
    said = message.strip()
    if len(said) > _LONGEST:
        return None
    kind = next((kind for kind, pattern in _PATTERNS if pattern.fullmatch(said)), None)
    return None if kind is None else _ANSWERS[kind, language(said)]
