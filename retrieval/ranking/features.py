"""What the rerank stages see of a query and its candidates. Pure numpy.

Relative features tell candidates of one query apart; signs are the same for all of them and tell how far the query is
answered at all. Nothing depends on corpus size, score scale or language, so one ranker serves every store.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.base import FloatArray
from retrieval.ranking.fusion import standardised

_EPSILON = 1e-6
_TOP = 10
# BM25's k1 + 1 in tantivy: no text scores above this times the sum of the query's idf.
_SATURATION = 2.2
_KOREAN = re.compile("[\uac00-\ud7a3]")


@dataclass(frozen=True, slots=True)
class Candidates:
    """n candidates of one query, aligned.

    documents: (n,) equal for chunks of one document. scores: leg or stage -> (n,) float32, exact for every candidate.
    texts: lexical terms of each.
    """

    documents: Sequence[str]
    scores: Mapping[str, FloatArray]
    texts: Sequence[Sequence[str]]

    def __len__(self) -> int:
        return len(self.documents)


@dataclass(frozen=True, slots=True)
class Query:
    """terms: unique lexical terms in order; idf: (len(terms),) float32 in the store searched."""

    terms: Sequence[str]
    idf: FloatArray


def relative(candidates: Candidates) -> dict[str, FloatArray]:
    """Feature name -> (n,) float32, each centred on the query's candidates.

    rare_siblings: log of the number of its document's candidates, times the share of documents among all candidates:
    where most documents give one, several are a document that is about everything; where all are long, nothing follows.
    """
    columns = {name: standardised(values) for name, values in candidates.scores.items()}
    columns["bm25_in_doubt"] = columns["bm25"] * _doubt(candidates.scores.get("dense", np.zeros(0, np.float32)))
    counts = Counter(candidates.documents)
    documents = np.float32(len(counts) / max(len(candidates), 1))
    columns["rare_siblings"] = documents * np.log(_array(counts[name] for name in candidates.documents))
    return {name: values - values.mean() if len(values) else values for name, values in columns.items()}


def signs(query: Query, candidates: Candidates) -> dict[str, float]:
    """Feature name -> value; raises ValueError without candidates (there is nothing to tell of)."""
    if not len(candidates):
        raise ValueError("no candidates")
    weights = dict(zip(query.terms, query.idf.tolist(), strict=True))
    total = sum(weights.values()) + _EPSILON
    scores = candidates.scores
    found = {f"{name}_lead": _lead(values) for name, values in scores.items()}
    found |= {f"{name}_best": float(values.max()) for name, values in scores.items()}
    found["bm25_best"] = float(scores["bm25"].max()) / (_SATURATION * total)
    found["coverage_best"] = max(_weight(weights, set(text)) for text in candidates.texts) / total
    found["known"] = _known(weights, candidates.texts)
    if "dense" in scores:
        found["agreement"] = _agreement(scores["bm25"], scores["dense"])
    found["terms"] = float(np.log1p(len(weights)))
    return found


def _known(weights: Mapping[str, float], texts: Sequence[Sequence[str]]) -> float:
    """The share of the query's terms, by idf, that any candidate has; of those in the script that most of the
    candidates' terms are in, since a question in another language has its words nowhere. 1 without such terms.
    """
    said = Counter(term for text in texts for term in set(text))
    korean = 2 * sum(count for term, count in said.items() if _KOREAN.search(term)) > said.total()
    asked = {term: weight for term, weight in weights.items() if (_KOREAN.search(term) is not None) == korean}
    return _weight(asked, set(said)) / sum(asked.values()) if any(asked.values()) else 1.0


def _array(values: object) -> FloatArray:
    return np.fromiter(values, np.float32)  # type: ignore[call-overload, no-any-return]


def _weight(weights: Mapping[str, float], terms: set[str]) -> float:
    return sum(weights[term] for term in weights.keys() & terms)


def _doubt(dense: FloatArray) -> np.float32:
    """-2 where the dense leg has a clear favourite .. 2 where it has none: that is when keywords decide."""
    return np.float32(np.clip(2 * (1 - _lead(dense)), -2, 2)) if len(dense) else np.float32(2)


def _lead(values: FloatArray) -> float:
    """The best score's distance to the mean of the next nine, in standard deviations."""
    top: NDArray[np.float32] = np.sort(values)[::-1][:_TOP]
    return float((top[0] - top[1:].mean()) / (values.std() + _EPSILON)) if len(top) > 1 else 0.0


def _agreement(left: FloatArray, right: FloatArray) -> float:
    """Jaccard overlap of the two legs' top tens."""
    tops = [set(np.argsort(-values, kind="stable")[:_TOP].tolist()) for values in (left, right)]
    return len(tops[0] & tops[1]) / len(tops[0] | tops[1])
