"""From a conversation to the one question that is searched for; pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from models.base import Message
from models.wire.token_counting import estimate_text_tokens
from server.answering.failures import InvalidConversation
from server.records.turn import Turn

SHORT = 48  # characters; longer questions usually stand on their own
SEARCHED = 2000
_REFERS_BACK = re.compile(
    r"\b(it|its|that|this|these|those|they|them|their|he|she|his|her|there|one|ones|same|above|former|latter|else)\b"
    r"|^(and|but|or|so|then|also|what about|how about|why|how so)\b"
    r"|(그거|그것|그건|그게|그걸|그럼|그러면|그렇|그때|그곳|거기|이거|이것|이건|이게|이걸|저것|그\s|이\s|위\s|또\s|앞서|방금|그런|그리고|그래서|왜요|왜\?)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Conversation:
    """system: every system message, joined. history: the turns before `question`, the last user message.

    after: what follows the question: calls of the caller's tools, and what they gave. name: of who asks.
    """

    question: str
    history: tuple[Message, ...] = ()
    system: str | None = None
    after: tuple[Message, ...] = ()
    name: str | None = None

    def messages(self) -> tuple[Message, ...]:
        """All of it, as an engine is asked alone."""
        system = (Message("system", self.system),) if self.system else ()
        return (*system, *self.history, Message("user", self.question, name=self.name), *self.after)


def conversation(messages: Sequence[Message], param: str = "messages") -> Conversation:
    """param: the request's name for them.

    Raises InvalidConversation where there is no user message, or no text in the last one: it is the question.
    """
    last = max((i for i, m in enumerate(messages) if m.role == "user"), default=None)
    if last is None or not messages[last].content.strip():
        raise InvalidConversation("the last user message must have text: it is the question", param)
    system = "\n\n".join(m.content for m in messages if m.role == "system" and m.content.strip())
    history, after = (tuple(filter(_is_turn, part)) for part in (messages[:last], messages[last + 1 :]))
    return Conversation(messages[last].content.strip(), history, system or None, after, messages[last].name)


def search_question(talk: Conversation) -> str:
    """A short question that points back is searched together with the user's previous one; 2,000 characters at most."""
    previous = next((m.content.strip() for m in reversed(talk.history) if m.role == "user"), None)
    if previous is None or not refers_back(talk.question):
        return talk.question[:SEARCHED]
    return f"{previous[: SEARCHED - SHORT - 1]}\n{talk.question}"


def recent(history: Sequence[Message], tokens: int) -> tuple[Message, ...]:
    """The last turns that fit into about `tokens`, whole ones only; no tool's answer without the call before it."""
    kept: list[Message] = []
    for message in reversed(history):
        tokens -= estimate_text_tokens(message.content)
        tokens -= sum(estimate_text_tokens(call.name + call.arguments) for call in message.tool_calls)
        if tokens < 0:
            break
        kept.append(message)
    while kept and kept[-1].role == "tool":
        kept.pop()
    return tuple(reversed(kept))


def said(earlier: Sequence[Turn]) -> tuple[Message, ...]:
    """What was asked and answered before, as an engine reads it. An answer that never came leaves its question out."""
    answered = [turn for turn in earlier if turn.answer.strip()]
    return tuple(
        message for turn in answered for message in (Message("user", turn.question), Message("assistant", turn.answer))
    )


def _is_turn(message: Message) -> bool:
    if message.role == "tool" or message.tool_calls:
        return True
    return message.role in ("user", "assistant") and bool(message.content.strip())


def refers_back(question: str) -> bool:
    return len(question) <= SHORT and _REFERS_BACK.search(question) is not None
