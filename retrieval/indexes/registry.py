"""The kinds of indexes that a vector store has."""

from functools import partial

from retrieval.indexes.base.following import Kind
from retrieval.indexes.bm25 import Bm25Index
from retrieval.indexes.dense.index import DenseConfig, DenseIndex
from retrieval.indexes.sparse.index import SparseIndex


def kinds(dense: DenseConfig | None = None) -> tuple[Kind, ...]:
    """In the order in which a search asks them. dense: how vectors are searched."""
    return (
        Kind(DenseIndex, partial(DenseIndex.open, config=dense)),
        Kind(Bm25Index, Bm25Index.open),
        Kind(SparseIndex, SparseIndex.open),
    )
