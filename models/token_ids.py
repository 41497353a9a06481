"""Token ids back to text, for callers that send ids instead of text."""

from collections.abc import Sequence
from typing import Any


def decoded(tokenizer: Any, ids: Sequence[int]) -> str:
    """tokenizer: of the package tokenizers. Special tokens stand for nothing. Raises ValueError, naming the id."""
    size = tokenizer.get_vocab_size(with_added_tokens=True)
    if (unknown := next((i for i in ids if not 0 <= i < size), None)) is not None:
        raise ValueError(f"token id {unknown} is not in the vocabulary, which ends at {size - 1}")
    text: str = tokenizer.decode(list(ids), skip_special_tokens=True)
    return text
