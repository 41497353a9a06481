"""The labelled questions asked of the embedded profile, in process: parsed, searched, quoted as the server does."""

import json
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.quoting.answerers import Answerer, Name, answerer
from benchmarks.quoting.questions import DOCUMENTS, Extent, Question, corpus_lines, text_of
from benchmarks.quoting.scoring import Outcome, Said, scored, skeleton
from benchmarks.stores import OWNER, opened
from models.quoting.extractive import ExtractiveGenerator
from models.quoting.rendering import Quote, render
from retrieval.ingest.worker import Ingestor
from retrieval.prompting.prompt import build
from retrieval.prompting.small_talk import small_talk
from retrieval.ranking.search import Retriever
from retrieval.store.base.values import NamedStore
from retrieval.store.store import Store
from retrieval.types import Chunk, ScoredChunk, SearchParams

OTHERS = 120  # documents of each shared corpus beside those with labels
KEEP = SearchParams(keep=8)


async def ask_all(questions: Sequence[Question], name: Name = "units") -> list[Outcome]:
    """Each question asked of all documents of its language. name: who answers.

    Raises RuntimeError where a file cannot be read.
    """
    with tempfile.TemporaryDirectory() as folder:
        async with (
            opened(Path(folder)) as (store, ingestor, retriever),
            answerer(name, ExtractiveGenerator(retriever._embedder, retriever._tokenizer.terms)) as generator,
        ):
            outcomes = []
            for language in sorted({question.language for question in questions}):
                own = [question for question in questions if question.language == language]
                named = await filled(store, ingestor, language, own)
                outcomes += [await _outcome(one, named, retriever, generator) for one in own]
            return outcomes


async def filled(store: Store, ingestor: Ingestor, language: str, questions: Sequence[Question]) -> NamedStore:
    store_id = store.vector_stores.create(OWNER, language).id
    for name, content in _files(language, questions):
        file = store.files.add(OWNER, name, content)
        await ingestor.submit(OWNER, store_id, file.id)
        done = await ingestor.wait(OWNER, store_id, file.id)
        if done.status != "completed":
            raise RuntimeError(f"{name}: {done.error}")
    return store.vector_stores.resolve(OWNER, store_id)


def _files(language: str, questions: Sequence[Question]) -> Iterable[tuple[str, bytes]]:
    for file in sorted(DOCUMENTS.glob(f"*/*.{language}.*")):
        yield file.name, file.read_bytes()
    wanted: dict[str, list[str]] = defaultdict(list)
    for question in questions:
        if question.shared:
            corpus, _, document = question.source.partition(":")
            wanted[corpus].append(document)
    for corpus, documents in sorted(wanted.items()):
        yield f"{corpus}.jsonl", b"\n".join(corpus_lines(corpus, documents, OTHERS))


async def _outcome(question: Question, named: NamedStore, retriever: Retriever, generator: Answerer) -> Outcome:
    if (courtesy := small_talk(question.question)) is not None:
        return Outcome(question, "greeted", text=courtesy)
    found = await retriever.search(OWNER, [named], question.question, KEEP)
    if found.no_evidence:
        return Outcome(question, "refused")
    prompt = build(question.question, found.evidence, style="compact" if generator.compact else "full")
    answer = await generator.answer(prompt)
    quotes, ms = answer.quotes, answer.ms
    in_evidence = any(source_of(one.chunk) == question.source for one in found.evidence)
    if not quotes or not question.answerable:
        return Outcome(question, "quoted" if quotes else "refused", ms=ms, found=in_evidence, text=render(quotes))
    said = [Said(extent_of(quote, found.evidence, prompt.passages, question.source)) for quote in quotes]
    outcome = scored(question, text_of(question.source), said, ms, found=in_evidence)
    return replace(outcome, text=render(quotes))


def extent_of(quote: Quote, evidence: Sequence[ScoredChunk], passages: Sequence[str], source: str) -> Extent | None:
    """Where the source's text has it, in letters and digits; None of another document. passages: as prompted."""
    chunk = evidence[quote.mark - 1].chunk
    if source_of(chunk) != source:
        return None
    heading = len(passages[quote.mark - 1]) - len(chunk.text)
    before, letters = skeleton(text_of(source))[chunk.start], skeleton(chunk.text)
    start, end = (letters[max(edge - heading, 0)] for edge in (quote.unit.start, quote.unit.end))
    return before + start, before + end


def source_of(chunk: Chunk) -> str:
    """As the labels name it."""
    if chunk.filename.endswith(".jsonl"):
        return f"{chunk.filename.removesuffix('.jsonl')}:{chunk.external_id}"
    half = "tune" if (DOCUMENTS / "tune" / chunk.filename).exists() else "report"
    return f"{half}/{chunk.filename}" + (f"#{chunk.external_id}" if chunk.external_id else "")


def dumped(outcomes: Sequence[Outcome]) -> str:
    """A line of JSON for each question, for reading."""
    return "\n".join(
        json.dumps(
            {"id": o.question.id, "kind": o.question.kind, "question": o.question.question}
            | {"came": o.came, "text": o.text}
            | ({"precision": round(o.precision, 2), "recall": round(o.recall, 2)} if o.question.answerable else {}),
            ensure_ascii=False,
        )
        for o in outcomes
    )
