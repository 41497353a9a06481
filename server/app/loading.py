"""The models of a profile, loaded, and what is made of them: closed with what they are loaded for."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from models.base import Embedder, Generator
from server.settings.settings import Settings

if TYPE_CHECKING:  # each of these loads a heavy library
    from models.profiles import Profile
    from retrieval.passages.tokenize import Tokenizer
    from retrieval.ranking.raw_texts import Relevance
    from retrieval.ranking.stages import RerankPlan

    Related = Callable[[str, Sequence[str], Sequence[str] | None], Awaitable[Relevance]]


async def load_plan(settings: Settings, profile: "Profile", embedder: Embedder, stack: AsyncExitStack) -> "RerankPlan":
    from retrieval.ranking.ranker import Ranker
    from retrieval.ranking.stages import RerankPlan

    given = settings.retrieval
    reranker = await asyncio.to_thread(profile.load_reranker)
    if reranker is not None:
        stack.push_async_callback(reranker.aclose)
    return RerankPlan(
        ranker=await asyncio.to_thread(Ranker.load, Ranker.file_for(lexical=embedder.lexical)),
        reranker=reranker,
        late_interaction=await asyncio.to_thread(profile.late_interaction),
        seconds=given.rerank_seconds,
        margin=given.rerank_margin,
    )


async def load_embedder(profile: "Profile", stack: AsyncExitStack) -> Embedder:
    embedder = await asyncio.to_thread(profile.load_embedder)
    stack.callback(embedder.close)
    return embedder


def quoting_of(embedder: Embedder, tokenizer: "Tokenizer") -> Generator:
    from models.quoting.extractive import ExtractiveGenerator
    from retrieval.language import language
    from retrieval.prompting.prompt import refusal

    return ExtractiveGenerator(embedder, tokenizer.terms, lambda question: refusal(language(question)))


def relevance_of(embedder: Embedder, tokenizer: "Tokenizer", plan: "RerankPlan") -> "Related":
    from retrieval.ranking.raw_texts import relevance

    return lambda query, texts, stages: relevance(query, texts, embedder, tokenizer, plan, stages)
