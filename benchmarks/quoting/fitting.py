"""The weights of models/quoting/quoter.py: a conditional logit on the tuning half.

    python -m benchmarks.quoting.fitting [--penalty .05]

Which of a question's candidates lie in the reader's units, whatever order the search gave them in. Printed: how often
the best candidate is right, in folds without its document (in either language), and the weights of all questions.
"""

import argparse
import asyncio
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
from scipy.optimize import minimize

from benchmarks.quoting.asking import KEEP, extent_of, filled, source_of
from benchmarks.quoting.questions import Question, asked, load, text_of
from benchmarks.quoting.scoring import Said, scored
from benchmarks.stores import OWNER, opened
from models.base import Embedder, FloatArray
from models.quoting.candidates import FEATURES, Terms, late_interaction
from models.quoting.quoter import Quoter
from retrieval.prompting.prompt import build
from retrieval.types import ScoredChunk

_GIVEN = {"codes": 1.8, "opposed": -3.0}  # too rare among the questions: what the penalty draws their weights to


@dataclass(frozen=True, slots=True)
class Example:
    """features: (candidates, FEATURES). right: (candidates,)."""

    document: str
    features: FloatArray
    right: FloatArray


async def examples() -> list[Example]:
    questions = [one for one in asked(load()) if one.half == "tune"]
    found = []
    with tempfile.TemporaryDirectory() as folder:
        async with opened(Path(folder)) as (store, ingestor, retriever):
            for language in ("en", "ko"):
                own = [one for one in questions if one.language == language]
                named = await filled(store, ingestor, language, own)
                for one in own:
                    evidence = (await retriever.search(OWNER, [named], one.question, KEEP)).evidence
                    if one.answerable and any(source_of(each.chunk) == one.source for each in evidence):
                        found.append(await _example(one, evidence, retriever._embedder, retriever._tokenizer.terms))
    return [one for one in found if one.right.any()]


async def _example(question: Question, evidence: Sequence[ScoredChunk], embedder: Embedder, terms: Terms) -> Example:
    prompt = build(question.question, evidence)
    quoter = Quoter(question.question, prompt.passages, terms, prompt.blocks)
    query = await embedder.embed_queries([question.question], tokens=True)
    said = await embedder.embed_documents([candidate.text for candidate in quoter.candidates], tokens=True)
    features = quoter.features.copy()
    features[:, FEATURES.index("late")] = late_interaction((query.tokens or [])[0], said.tokens or [])
    right = []
    for candidate in quoter.candidates:
        units = [extent_of(quote, evidence, prompt.passages, question.source) for quote in candidate.quotes]
        one = scored(question, text_of(question.source), [Said(unit) for unit in units], 0.0)
        right.append(one.precision >= 0.5 and one.recall > 0)
    document = re.sub(r"[._](en|ko)(?=[.:])", "", question.source.partition("#")[0])
    return Example(document, features, np.array(right, np.float32))


def fitted(found: Sequence[Example], penalty: float) -> FloatArray:
    prior = np.array([_GIVEN.get(name, 0.0) for name in FEATURES])

    def loss(weights: FloatArray) -> float:
        missed = 0.0
        for one in found:
            scores = np.exp(one.features @ weights - (one.features @ weights).max())
            missed -= float(np.log((scores * one.right).sum() / scores.sum() + 1e-12))
        return (missed + penalty * float(((weights - prior) ** 2).sum())) / len(found)

    weights: FloatArray = minimize(loss, prior, method="L-BFGS-B").x
    return weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--penalty", type=float, default=0.05)
    given = parser.parse_args()
    found = asyncio.run(examples())
    hits = []
    for document in sorted({one.document for one in found}):
        weights = fitted([one for one in found if one.document != document], given.penalty)
        hits += [one.right[(one.features @ weights).argmax()] for one in found if one.document == document]
    print(f"{len(found)} questions; the best candidate is right, in folds by document: {fmean(hits):.3f}")
    weights = fitted(found, given.penalty)
    print(", ".join(f"{name} {weight:.1f}" for name, weight in zip(FEATURES, weights, strict=True)))


if __name__ == "__main__":
    main()
