"""The lexical leg: BM25 (k1 = 1.2, b = 0.75, Lucene's idf) in tantivy, over the terms of retrieval.passages.tokenize.

Incremental: one document is one small segment, and tantivy merges segments by itself. Removed documents count in the
statistics until their segment is merged, as in Lucene.
"""

import json
import re
import shutil
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np

from models.base import FloatArray
from retrieval.indexes.base.atomic import replace_file, written
from retrieval.indexes.base.following import FollowingIndex, PassageReader
from retrieval.indexes.base.frequencies import Frequencies
from retrieval.indexes.base.leg import LocalLeg
from retrieval.types import Hit, QueryVectors

_MAX_QUERY_TERMS = 512  # distinct; of a longer query the most telling ones
_TERM_FILTER_KEYS = 4096  # a filter of more keys is applied to a longer list instead: see _search_filtered
_WRITER_BYTES = 32_000_000
_MAX_TERM_BYTES = 1024
_OS_CODE = re.compile(r"(?:\bOs \{ code: |\(os error )(\d+)")


class Bm25Index(FollowingIndex[Sequence[tuple[int, str]]]):
    """On disk after every change.

    folder: made where it is missing. Raises ValueError when what is in the folder cannot be read, StoreFull,
    StoreUnavailable.
    """

    name = "bm25"
    file = "bm25"
    durable = True

    def __init__(self, folder: Path) -> None:
        import tantivy

        self._tantivy = tantivy
        self._changing = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._seq_file = folder.with_suffix(".seq")
        self._applied = int(self._seq_file.read_text("ascii")) if self._seq_file.exists() else 0
        builder = tantivy.SchemaBuilder()
        builder.add_unsigned_field("key", indexed=True, fast=True)
        builder.add_text_field("terms", tokenizer_name="terms", index_option="freq")
        self._schema = builder.build()
        try:
            with _writing():
                self._index = tantivy.Index(self._schema, path=str(folder))
        except ValueError as error:
            raise ValueError(f"the BM25 index {folder} cannot be read: {error}") from error
        analyzer = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).build()
        self._index.register_tokenizer("terms", analyzer)
        self._index.config_reader(reload_policy="manual")

    @classmethod
    def open(cls, path: Path, dim: int) -> Self:
        return cls(path)

    @staticmethod
    def erase(path: Path) -> None:
        path.with_suffix(".seq").unlink(missing_ok=True)
        shutil.rmtree(path, ignore_errors=True)

    @property
    def applied(self) -> int:
        return self._applied

    def __len__(self) -> int:
        count: int = self._index.searcher().num_docs
        return count

    def keys(self) -> list[int]:
        return sorted(hit.key for hit in self._hits(self._tantivy.Query.all_query(), len(self)))

    def payload(self, passages: PassageReader, keys: Sequence[int]) -> Sequence[tuple[int, str]]:
        """(key, terms joined by spaces)"""
        return passages.terms(keys)

    def apply(self, seq: int, payload: Sequence[tuple[int, str]], removed: Collection[int]) -> None:
        """In one commit, and then the seq: a crash between them applies the tail twice, to no effect.

        Raises StoreFull, StoreUnavailable, and is as it was.
        """
        with self._changing, _writing():
            self._tidily(partial(self._commit_changes, payload, removed))
            replace_file(self._seq_file, lambda new: new.write_text(str(seq), "ascii"))
            self._applied = seq

    @property
    def has_removed(self) -> bool:
        """Whether its segments still hold passages that were taken out: tantivy drops those when it merges."""
        return self.removed_on_disk(self._folder)

    @staticmethod
    def removed_on_disk(path: Path) -> bool:
        """True also where that cannot be read: opening it makes it anew."""
        try:
            segments = json.loads((path / "meta.json").read_text("utf-8"))["segments"]
        except FileNotFoundError:
            return False
        except (OSError, ValueError, KeyError):
            return True
        return any(segment["deletes"] for segment in segments)

    def rewrite(self, payloads: Iterable[Sequence[tuple[int, str]]]) -> None:
        """In one commit."""
        with self._changing, _writing():
            self._commit_anew(payloads)

    def _tidily(self, commit: Callable[[], None]) -> None:
        """Again where it met a file that a commit before has left unfinished: the disk was full, or the process ended.

        The names of all other files are new ones each time.
        """
        try:
            commit()
        except ValueError as error:
            if "FileAlreadyExists" not in str(error):
                raise
            traceback.clear_frames(error.__traceback__)  # the writer, and its lock
            self._sweep()
            commit()

    def _sweep(self) -> None:
        """Deletions that no segment counts."""
        segments = json.loads((self._folder / "meta.json").read_text("utf-8"))["segments"]
        counted = {
            f"{segment['segment_id'].replace('-', '')}.{segment['deletes']['opstamp']}.del"
            for segment in segments
            if segment["deletes"]
        }
        for file in self._folder.glob("*.del"):
            if file.name not in counted:
                file.unlink(missing_ok=True)

    def _commit_changes(self, payload: Sequence[tuple[int, str]], removed: Collection[int]) -> None:
        present = self._present([key for key, _ in payload])
        writer = self._index.writer(_WRITER_BYTES, 1)
        self._add(writer, [(key, terms) for key, terms in payload if key not in present])
        if removed:  # by query: tantivy-py 0.27 takes the integer of delete_documents_by_term for a signed one
            writer.delete_documents_by_query(self._among(removed))
        self._commit(writer)

    def _commit_anew(self, payloads: Iterable[Sequence[tuple[int, str]]]) -> None:
        writer = self._index.writer(_WRITER_BYTES, 1)
        writer.delete_all_documents()
        for payload in payloads:
            self._add(writer, payload)
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

    def save(self, path: Path) -> None:
        """Every change has been."""

    def leg(self, query: QueryVectors) -> LocalLeg:
        return LocalLeg(self.name, partial(self.search, query.terms), partial(self.scores, query.terms))

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

    def frequencies(self, terms: Sequence[str]) -> Frequencies:
        """Removed documents count until their segment is merged."""
        searcher = self._index.searcher()
        documents = searcher.num_docs
        return Frequencies(documents, tuple(min(documents, searcher.doc_freq("terms", _term(t))) for t in terms))

    def holding(self, term: str, k: int, allowed: Collection[int] | None) -> list[int]:
        return [hit.key for hit in self.search([term], k, allowed)]

    def _query(self, terms: Sequence[str]) -> Any | None:
        """Any of the terms, each weighted by its count. None without terms."""
        counts = Counter(_term(term) for term in terms if term)
        chosen: Iterable[tuple[str, int]] = counts.items()
        if len(counts) > _MAX_QUERY_TERMS:
            weights = self.frequencies(list(counts)).idf() * np.array(list(counts.values()))
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


@contextmanager
def _writing() -> Iterator[None]:
    """tantivy's ValueError, where it quotes the operating system's error, as that error.

    The frames below hold the writer, and it the lock that the next writer needs: they let go of it here, however long
    somebody keeps the error. So no caller of this holds a writer itself.
    """
    with written():
        try:
            yield
        except BaseException as error:
            traceback.clear_frames(error.__traceback__)
            if isinstance(error, ValueError) and (code := _OS_CODE.search(str(error))) is not None:
                raise OSError(int(code[1]), str(error)) from None
            raise


def _term(term: str) -> str:
    """One token to tantivy's white-space analyser, and never too long for it."""
    cut = term.encode("utf-8", "replace")[:_MAX_TERM_BYTES].decode("utf-8", "ignore")
    return "_".join(cut.split()) or "_"
