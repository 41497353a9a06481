"""What every tokenizer of the package tokenizers needs beside itself."""

import re
from collections.abc import Sequence
from typing import Any

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def readable(text: str) -> str:
    """Half of a surrogate pair is no character: the tokenizer refuses it. Offsets stay."""
    return _LONE_SURROGATE.sub("\ufffd", text)


def decoded(tokenizer: Any, ids: Sequence[int]) -> str:
    """Token ids to text; special tokens stand for nothing. Raises ValueError, naming the id."""
    size = tokenizer.get_vocab_size(with_added_tokens=True)
    if (unknown := next((i for i in ids if not 0 <= i < size), None)) is not None:
        raise ValueError(f"token id {unknown} is not in the vocabulary, which ends at {size - 1}")
    text: str = tokenizer.decode(list(ids), skip_special_tokens=True)
    return text
