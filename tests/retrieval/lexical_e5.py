"""The real embedder with lexical weights beside its vectors, as BGE-M3 has them: a word weighs its count."""

from collections.abc import Sequence
from dataclasses import replace

from models.base import Embedding, IntArray
from models.embedders.e5 import E5Embedder
from tests.retrieval.publishing import token_weights


class LexicalE5:
    lexical = True

    def __init__(self, e5: E5Embedder) -> None:
        self.name, self.dim, self.max_tokens = f"{e5.name} with lexical weights", e5.dim, e5.max_tokens
        self._e5 = e5

    async def embed_queries(self, texts: Sequence[str], *, tokens: bool = False) -> Embedding:
        return self._with_weights(texts, await self._e5.embed_queries(texts, tokens=tokens))

    async def embed_documents(self, texts: Sequence[str], *, tokens: bool = False) -> Embedding:
        return self._with_weights(texts, await self._e5.embed_documents(texts, tokens=tokens))

    def token_spans(self, text: str) -> IntArray:
        return self._e5.token_spans(text)

    def text_of(self, ids: Sequence[int]) -> str:
        return self._e5.text_of(ids)

    def close(self) -> None:
        self._e5.close()

    def _with_weights(self, texts: Sequence[str], embedding: Embedding) -> Embedding:
        return replace(embedding, sparse=[token_weights(text) for text in texts])
