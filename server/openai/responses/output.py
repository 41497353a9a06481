"""The response object and its output items, as the SDK's types have them; pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from models.base import Usage
from retrieval.characters import shown_name
from retrieval.types import ScoredChunk
from server.answering.events import Citation, Done, ErrorEvent
from server.answering.failures import failure_of_event
from server.answering.transcript import Transcript
from server.answering.work import where
from server.openai.chat.render import metadata
from server.openai.chat.tools import Json
from server.openai.responses.request import LOGPROBS, RESULTS, ResponseRequest

_CODES = {429: "rate_limit_exceeded", 503: "rate_limit_exceeded", 400: "invalid_prompt"}


@dataclass(frozen=True, slots=True)
class Frame:
    """What of the request shows in its response. key: makes the ids of the response and of its items.

    created: Unix seconds. queries: what is searched for; none where there is no retrieval. refuses: what is said
    without evidence is a refusal, not text, which a format was asked of.
    """

    key: str
    created: int
    request: ResponseRequest
    queries: tuple[str, ...] = ()
    refuses: bool = False
    obfuscate: bool = False
    include: frozenset[str] = field(default_factory=frozenset)

    @property
    def id(self) -> str:
        return f"resp_{self.key}"


def response_object(
    frame: Frame, output: Sequence[Json], told: Transcript, status: str, completed_at: int | None = None
) -> Json:
    """With everything; `shown` leaves out what was not asked for. completed_at: Unix seconds."""
    body = frame.request
    ended = status != "in_progress"
    return {
        "id": frame.id,
        "object": "response",
        "created_at": frame.created,
        "completed_at": completed_at if status == "completed" else None,
        "status": status,
        "background": False,
        "error": error_object(told.error) if status == "failed" and told.error else None,
        "frequency_penalty": 0.0,
        "incomplete_details": incomplete_details(told.done) if status == "incomplete" else None,
        "instructions": body.instructions,
        "max_output_tokens": body.max_output_tokens,
        "max_tool_calls": body.max_tool_calls,
        "metadata": body.metadata or {},
        "model": body.model,
        "output": list(output),
        "parallel_tool_calls": body.parallel_tool_calls is not False,
        "presence_penalty": 0.0,  # both penalties are of the Open Responses schema, which wants them
        "previous_response_id": body.previous_response_id,
        "prompt_cache_key": body.prompt_cache_key,
        "reasoning": {"effort": body.reasoning.effort if body.reasoning else None, "summary": None},
        "safety_identifier": body.safety_identifier,
        "service_tier": "default",
        "store": body.store is not False,
        "temperature": 1.0 if body.temperature is None else body.temperature,
        "text": {"format": text_format(body), "verbosity": "medium"},
        "tool_choice": _tool_choice(body),
        "tools": [tool.shown() if tool.type == "function" else _search_tool(tool) for tool in body.tools or ()],
        "top_logprobs": body.top_logprobs or 0,
        "top_p": 1.0 if body.top_p is None else body.top_p,
        "truncation": body.truncation or ("auto" if frame.queries else "disabled"),
        "usage": usage_object(told.usage.usage) if ended and told.usage else None,
        "user": body.user,
        "ragpod": metadata(told),
    }


def text_format(body: ResponseRequest) -> Json:
    return body.text.format.shown() if body.text and body.text.format else {"type": "text"}


def _tool_choice(body: ResponseRequest) -> Any:
    choice = body.tool_choice
    return choice if isinstance(choice, str) else choice.model_dump() if choice else "auto"


def _search_tool(tool: Any) -> Json:
    options = tool.ranking_options
    return {
        "type": "file_search",
        "vector_store_ids": tool.vector_store_ids,
        "filters": tool.filters,
        "max_num_results": tool.max_num_results,
        "ranking_options": {
            "ranker": (options and options.ranker) or "auto",
            "score_threshold": options and options.score_threshold,
        },
    }


def usage_object(usage: Usage) -> Json:
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }


def status_of(done: Done) -> str:
    if done.finish_reason == "error":
        return "failed"
    if done.finish_reason in ("length", "content_filter"):
        return "incomplete"
    return "cancelled" if done.finish_reason == "cancelled" else "completed"


def incomplete_details(done: Done | None) -> Json:
    filtered = done is not None and done.finish_reason == "content_filter"
    return {"reason": "content_filter" if filtered else "max_output_tokens"}


def error_object(error: ErrorEvent) -> Json:
    """OpenAI's codes; our own stands in `type`'s place."""
    failure = failure_of_event(error)
    return {"code": _CODES.get(failure.status, "server_error"), "message": failure.message, "type": failure.code}


def search_results(evidence: Sequence[ScoredChunk]) -> list[Json]:
    return [
        {
            "file_id": scored.chunk.file_id,
            "filename": shown_name(scored.chunk.filename),
            "score": scored.score,
            "text": scored.chunk.text,
            "attributes": dict(scored.chunk.attributes),
            "chunk_id": scored.chunk.id,
            "document_id": scored.chunk.own_id,
            "title": shown_name(scored.chunk.title),
            "url": scored.chunk.url or None,
            "scores": dict(scored.scores),
            **where(scored.chunk),
        }
        for scored in evidence
    ]


def annotation(citation: Citation, evidence: Sequence[ScoredChunk], before: int = 0) -> Json:
    """index: where the mark begins in its message, in characters. The rest is ours: its end, and which passage.

    before: characters of the answer in the messages before that one.
    """
    cited = evidence[citation.marker - 1].chunk
    return {
        **where(cited),
        "type": "file_citation",
        "file_id": citation.file_id,
        "filename": shown_name(cited.filename),
        "index": citation.start - before,
        "start_index": citation.start - before,
        "end_index": citation.end - before,
        "chunk_id": citation.chunk_id,
        "document_id": cited.own_id,
    }


def shown(response: Mapping[str, Any], include: Collection[str]) -> Json:
    """The response with only those extras that were asked for."""
    return {**response, "output": [shown_item(item, include) for item in response["output"]]}


def shown_item(item: Mapping[str, Any], include: Collection[str]) -> Json:
    if item["type"] == "file_search_call" and RESULTS not in include:
        return {**item, "results": None}
    if item["type"] == "message" and LOGPROBS not in include:
        return {**item, "content": [_without_logprobs(part) for part in item["content"]]}
    return dict(item)


def _without_logprobs(part: Mapping[str, Any]) -> Json:
    return {**part, "logprobs": []} if part["type"] == "output_text" else dict(part)
