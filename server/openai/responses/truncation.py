"""What of a long conversation reaches the engine, as `truncation` asks; pure."""

from dataclasses import replace

from models.base import Message
from models.wire.token_counting import estimate_tokens
from server.answering.answer import HISTORY_SHARE
from server.answering.question import Conversation, recent
from server.http.errors import bad_request
from server.openai.responses.request import ResponseRequest


def fitting(
    talk: Conversation, body: ResponseRequest, context_tokens: int, answer_tokens: int, *, retrieve: bool
) -> Conversation:
    """The engine alone gets what has room beside the answer, where `auto` asks for it; else it refuses for itself.

    Beside evidence the answer leaves early turns out by itself; here that is refused where it is forbidden.
    Raises ApiError (400).
    """
    if retrieve:
        room = context_tokens // HISTORY_SHARE
        if body.truncation == "disabled" and len(recent(talk.history, room)) < len(talk.history):
            message = f"earlier turns take more than the {room} tokens that they have beside the documents"
            raise bad_request(message, "input", "context_length_exceeded")
        return talk
    if body.truncation != "auto":
        return talk
    others = (Message("system", talk.system or ""), Message("user", talk.question), *talk.after)
    room = context_tokens - answer_tokens - estimate_tokens(others)
    return replace(talk, history=recent(talk.history, max(room, 0)))
