"""Makes models/embedders/e5_token_mean.npy: the mean of multilingual-e5-small's unit token vectors over Korean and
English text.

The text is what is on every machine: the running Python's reference topics and the demo's Korean help centre, weighted
equally.
    python scripts/token_mean.py
"""

import asyncio
import json
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np

from models.embedders.e5 import E5Embedder

ROOT = Path(__file__).resolve().parent.parent
PASSAGE_CHARACTERS = 600
ENGLISH_PASSAGES = 300


def english() -> list[str]:
    starts = [(text, i) for text in topics.values() for i in range(0, len(text), PASSAGE_CHARACTERS)]
    step = max(len(starts) // ENGLISH_PASSAGES, 1)
    return [text[i : i + PASSAGE_CHARACTERS] for text, i in starts[::step]]


def korean() -> list[str]:
    lines = (ROOT / "server" / "cli" / "demo_faq_ko.jsonl").read_text(encoding="utf-8").splitlines()
    return [" ".join(str(value) for value in json.loads(line).values()) for line in lines]


async def main() -> None:
    embedder = E5Embedder.load()
    embedder.token_mean = np.zeros(embedder.dim, np.float32)
    means = []
    for texts in (english(), korean()):
        embedding = await embedder.embed_documents(texts, tokens=True)
        means.append(np.concatenate(list(embedding.tokens or [])).mean(axis=0))
    mean = np.mean(means, axis=0).astype(np.float32)
    np.save(ROOT / "models" / "embedders" / "e5_token_mean.npy", mean)
    cosine = means[0] @ means[1] / (np.linalg.norm(means[0]) * np.linalg.norm(means[1]))
    print(f"norm {np.linalg.norm(mean):.4f}, cosine of the two languages {cosine:.4f}")
    embedder.close()


asyncio.run(main())
