"""The ingestor's way of a version through the store, a document a line; its parser and its embedder are none."""

from retrieval.passages.identity import identify
from retrieval.store.base.values import Attempt, NotFound, Superseded
from retrieval.store.store import Store
from retrieval.types import NewChunk, ParsedDocument, Span
from tests.retrieval.publishing import DIM, vector


def work(store: Store) -> None:
    """What can be claimed now, to its end, whatever others do meanwhile."""
    while (job := store.queue.claim("worker", 3600)) is not None:
        try:
            content = store.files.content(job.owner, job.file_id).decode()
            while not store.publishing.publish(embedded(store, job.attempt, job.store_id, job.filename, content)):
                pass
            store.publishing.complete([job.attempt.version])
        except (NotFound, Superseded):
            continue


def embedded(store: Store, attempt: Attempt, vs: str, filename: str, content: str) -> Attempt:
    """As far as publishing it. Raises Superseded."""
    wanted = identify(vs, filename, [ParsedDocument(line) for line in content.splitlines()])
    store.versions.claim_embedder(attempt, "synthetic", DIM)
    known = store.versions.keep_documents(attempt, wanted)
    new = [document for document in wanted if document.id not in known]
    store.versions.add_documents(
        attempt, [(each, [NewChunk(Span(0, len(each.parsed.text)), each.parsed.text, ["term"])]) for each in new]
    )
    store.versions.finish_chunking(attempt, len(wanted))
    for key in store.versions.pending_keys(attempt):
        store.versions.save_vectors(attempt, [key], vector(str(key))[None], [b"code"])
    return attempt
