"""Sessions, messages and bookmarks as callers see them; pure."""

from datetime import UTC, datetime
from typing import Any

from server.records.bookmarks import Bookmark
from server.records.sessions import Exchange, Session
from server.records.turn import Status, Turn, question_id

Json = dict[str, Any]
# Of an answer, in the words of who asked.
_STATUS = {
    Status.RUNNING: "running",
    Status.INTERRUPTED: "interrupted",
    Status.COMPLETE: "complete",
    Status.CANCELLED: "stopped",
    Status.FAILED: "failed",
}


def moment(seconds: float) -> str:
    """ISO 8601, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def session(kept: Session) -> Json:
    return {
        "id": kept.id,
        "user_id": kept.user_id or None,
        "title": kept.title,
        "created_at": moment(kept.created),
        "updated_at": moment(kept.updated),
        "message_count": kept.messages,
        "last_message": kept.last_message,
    }


def pair(exchange: Exchange) -> list[Json]:
    """The question, then the answer; both say which of how many versions is shown."""
    versions = {"version": exchange.version, "versions": list(exchange.versions)}
    return [question(exchange.turn) | versions, answer(exchange.turn) | versions]


def question(turn: Turn) -> Json:
    return {
        "id": question_id(turn.message_id),
        "role": "user",
        "content": turn.question,
        "created_at": moment(turn.created),
    }


def answer(turn: Turn) -> Json:
    return {
        "id": turn.message_id,
        "role": "assistant",
        "content": turn.answer,
        "created_at": moment(turn.created),
        "status": _STATUS[turn.status],
        "finish_reason": turn.finish_reason,
        "trace_id": turn.trace_id,
        "model": turn.model,
        "reasoning": turn.reasoning,
        "sources": marked(turn),
        "citations": turn.citations,
        "no_evidence": turn.no_evidence,
        "degraded": list(turn.degraded),
        "usage": turn.usage,
        "timings_ms": turn.timings_ms,
        "error": turn.error and {"code": turn.error["code"], "message": turn.error["message"]},
    }


def marked(turn: Turn) -> list[Json]:
    """Sources with the number that they have in the answer's marks."""
    return [{"marker": number, **source} for number, source in enumerate(turn.sources, 1)]


def bookmark(kept: Bookmark) -> Json:
    turn = kept.turn
    return {
        "id": kept.id,
        "user_id": kept.user_id or None,
        "message_id": turn.message_id,
        "session_id": turn.session_id,
        "created_at": moment(kept.created),
        "note": kept.note,
        "tag": kept.tag,
        "question": turn.question,
        "answer": turn.answer,
        "sources": marked(turn),
        "citations": turn.citations,
    }


def markdown(kept: Session, exchanges: list[Exchange]) -> str:
    """A session to be read: questions as headings, answers, what they cite."""
    parts = [f"# {kept.title or kept.id}\n"]
    for exchange in exchanges:
        turn = exchange.turn
        heading, *more = turn.question.splitlines() or [""]
        parts.append(f"## {heading}\n")
        parts += ["\n".join(more) + "\n"] if more else []
        parts.append(f"{turn.answer or '(' + _STATUS[turn.status] + ')'}\n")
        cited = {citation["marker"] for citation in turn.citations}
        listed = [_source(source) for source in marked(turn) if source["marker"] in cited]
        parts += ["\n".join(listed) + "\n"] if listed else []
        parts.append(f"*{moment(turn.created)}*\n")
    return "\n".join(parts)


def _source(source: Json) -> str:
    page = f", p. {source['page']}" if source.get("page") else ""
    name = source.get("title") or source.get("filepath") or source["chunk_id"]
    return f"- [{source['marker']}] {name}{page}" + (f" <{source['url']}>" if source.get("url") else "")
