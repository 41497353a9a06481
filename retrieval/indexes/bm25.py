"""The lexical leg: BM25 (k1 = 1.2, b = 0.75, Lucene's idf) in tantivy, over the terms of retrieval.passages.tokenize.

Incremental: one document is one small segment, and tantivy merges segments by itself. Removed documents count in the
statistics until their segment is merged, as in Lucene.
"""

import json
import math
import shutil
import threading
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.base import FloatArray
from retrieval.indexes.atomic import replace_file
from retrieval.types import Hit

_MAX_QUERY_TERMS = 512  # distinct; of a longer query the most telling ones
_TERM_FILTER_KEYS = 4096  # a filter of more keys is applied to a longer list instead: see _search_filtered
_WRITER_BYTES = 32_000_000
_MAX_TERM_BYTES = 1024


class Bm25Index:
    """Keys are the store's integers. Thread-safe: a search sees the last change that was applied before it began.

    folder: made where it is missing. `applied` is the change log's seq that it has, on disk too.
    Raises ValueError when what is in the folder cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        import tantivy

        self._tantivy = tantivy
        self._changing = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._seq_file = folder.with_suffix(".seq")
        self.applied = int(self._seq_file.read_text("ascii")) if self._seq_file.exists() else 0
        builder = tantivy.SchemaBuilder()
        builder.add_unsigned_field("key", indexed=True, fast=True)
        builder.add_text_field("terms", tokenizer_name="terms", index_option="freq")
        self._schema = builder.build()
        try:
            self._index = tantivy.Index(self._schema, path=str(folder))
        except (ValueError, OSError) as error:
            raise ValueError(f"the BM25 index {folder} cannot be read: {error}") from error
        analyzer = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).build()
        self._index.register_tokenizer("terms", analyzer)
        self._index.config_reader(reload_policy="manual")

    @staticmethod
    def erase(folder: Path) -> None:
        """Removes an index that is not open."""
        folder.with_suffix(".seq").unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)

    def __len__(self) -> int:
        count: int = self._index.searcher().num_docs
        return count

    def keys(self) -> list[int]:
        """Ascending; a key that were in it twice would be there twice."""
        return sorted(hit.key for hit in self._hits(self._tantivy.Query.all_query(), len(self)))

    def apply(self, seq: int, added: Sequence[tuple[int, str]], removed: Collection[int]) -> None:
        """Adds (key, terms joined by spaces) and takes keys out, in one commit. Keys that are there already stay.

        The seq is written after the commit: a crash between them applies the tail twice, to no effect.
        """
        with self._changing:
            present = self._present([key for key, _ in added])
            writer = self._index.writer(_WRITER_BYTES, 1)
            self._add(writer, [(key, terms) for key, terms in added if key not in present])
            if removed:  # by query: tantivy-py 0.27 takes the integer of delete_documents_by_term for a signed one
                writer.delete_documents_by_query(self._among(removed))
            self._commit(writer)
            replace_file(self._seq_file, lambda new: new.write_text(str(seq), "ascii"))
            self.applied = seq

    @property
    def has_removed(self) -> bool:
        """Whether its segments still hold passages that were taken out: tantivy drops those when it merges."""
        segments = json.loads((self._folder / "meta.json").read_text("utf-8"))["segments"]
        return any(segment["deletes"] for segment in segments)

    def rewrite(self, batches: Iterable[Sequence[tuple[int, str]]]) -> None:
        """The whole index anew, in one commit; searches go on in the old one. batches: of (key, terms), all of it."""
        with self._changing:
            writer = self._index.writer(_WRITER_BYTES, 1)
            writer.delete_all_documents()
            for batch in batches:
                self._add(writer, batch)
            self._commit(writer)
            writer = self._index.writer(_WRITER_BYTES, 1)
            writer.garbage_collect_files()  # nobody reads the old segments any more
            writer.wait_merging_threads()

    def _add(self, writer: Any, documents: Sequence[tuple[int, str]]) -> None:
        for key, terms in documents:
            document = self._tantivy.Document()
            document.add_unsigned("key", key)
            document.add_text("terms", " ".join(_term(term) for term in terms.split(" ") if term))
            writer.add_document(document)

    def _commit(self, writer: Any) -> None:
        writer.commit()
        writer.wait_merging_threads()
        self._index.reload()

    def search(self, terms: Sequence[str], k: int, allowed: Collection[int] | None = None) -> list[Hit]:
        """The k best, best first, ties by key; only passages with at least one of the terms.

        A repeated term counts as often as it stands there. allowed: None is everything.
        """
        query = self._query(terms)
        if query is None or k <= 0:
            return []
        if allowed is None:
            hits = self._hits(query, k)
        elif len(allowed) <= _TERM_FILTER_KEYS:
            hits = self._hits(self._filtered(query, allowed), k)
        else:
            hits = self._search_longer(query, k, allowed)
        return sorted(hits, key=lambda hit: (-hit.score, hit.key))

    def scores(self, terms: Sequence[str], keys: Sequence[int]) -> FloatArray:
        """(len(keys),) the scores that search gives; 0 for a key without any of the terms, or that is not there."""
        query, found = self._query(terms), dict[int, float]()
        if query is not None and keys:
            found = dict(self._hits(self._filtered(query, keys), len(keys)))
        return np.array([found.get(key, 0.0) for key in keys], np.float32)

    def idf(self, terms: Sequence[str]) -> FloatArray:
        """(len(terms),) ln(1 + (n - df + 0.5) / (df + 0.5)), Lucene's: above 0 for every term; 0 in an empty index."""
        searcher = self._index.searcher()
        documents = searcher.num_docs
        if not documents:
            return np.zeros(len(terms), np.float32)
        found = (min(documents, searcher.doc_freq("terms", _term(term))) for term in terms)
        return np.array([math.log1p((documents - df + 0.5) / (df + 0.5)) for df in found], np.float32)

    def _query(self, terms: Sequence[str]) -> Any | None:
        """Any of the terms, each weighted by its count. None without terms."""
        counts = Counter(_term(term) for term in terms if term)
        chosen: Iterable[tuple[str, int]] = counts.items()
        if len(counts) > _MAX_QUERY_TERMS:
            weights = self.idf(list(counts)) * np.array(list(counts.values()))
            best = np.argsort(-weights, kind="stable")[:_MAX_QUERY_TERMS]
            names = list(counts)
            chosen = [(names[i], counts[names[i]]) for i in sorted(best)]
        query, should = self._tantivy.Query, self._tantivy.Occur.Should
        parts = [
            (should, query.boost_query(query.term_query(self._schema, "terms", term, "freq"), float(count)))
            for term, count in chosen
        ]
        return query.boolean_query(parts) if parts else None

    def _filtered(self, query: Any, keys: Collection[int]) -> Any:
        tantivy = self._tantivy
        silent = tantivy.Query.const_score_query(self._among(keys), 0.0)
        return tantivy.Query.boolean_query([(tantivy.Occur.Must, silent), (tantivy.Occur.Must, query)])

    def _search_longer(self, query: Any, k: int, allowed: Collection[int]) -> list[Hit]:
        """A large filter keeps a large part of any list: ask for longer lists until k of it pass."""
        total, passing = len(self), set(allowed)
        length = k
        while True:
            length = min(total, max(2 * length, k * total // max(1, len(passing))))
            hits = [hit for hit in self._hits(query, length) if hit.key in passing]
            if len(hits) >= k or length >= total:
                return hits[:k]

    def _present(self, keys: Sequence[int]) -> set[int]:
        if not keys or not len(self):
            return set()
        return {hit.key for hit in self._hits(self._among(keys), len(keys))}

    def _among(self, keys: Collection[int]) -> Any:
        return self._tantivy.Query.term_set_query(self._schema, "key", list(keys))

    def _hits(self, query: Any, limit: int) -> list[Hit]:
        if limit <= 0:
            return []
        searcher = self._index.searcher()
        found = searcher.search(query, limit, count=False).hits
        keys = searcher.fast_field_values("key", [address for _, address in found])
        return [Hit(int(key), float(score)) for (score, _), key in zip(found, keys, strict=True)]


def _term(term: str) -> str:
    """One token to tantivy's white-space analyser, and never too long for it."""
    cut = term.encode("utf-8", "replace")[:_MAX_TERM_BYTES].decode("utf-8", "ignore")
    return "_".join(cut.split()) or "_"
