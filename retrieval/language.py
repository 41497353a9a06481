"""Which of the two languages a text is written in."""

import re
from typing import Literal

Language = Literal["ko", "en"]

_HANGUL = re.compile("[\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff]")
_LETTER = re.compile(r"[^\W\d_]")
_SAMPLE = 20_000  # characters looked at: enough for a book
_KOREAN_SHARE = 0.2  # a Korean question about `OvertimeService` is mostly Latin letters, and still Korean


def language(text: str) -> Language:
    """ "ko" where Hangul makes up a fifth of the letters or more, else "en"."""
    sample = text[:_SAMPLE]
    hangul = len(_HANGUL.findall(sample))
    return "ko" if hangul and hangul >= _KOREAN_SHARE * len(_LETTER.findall(sample)) else "en"
