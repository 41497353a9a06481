"""The one way parsing fails, and its codes."""

from typing import Literal

ParseErrorCode = Literal[
    "unsupported_file", "invalid_file", "empty_file", "too_large", "encrypted_file", "needs_ocr", "parser_failed"
]


class ParseError(Exception):
    """The file itself cannot be indexed: trying again will not help.

    message: fit for its owner to read; it does not name the file, as who shows it does.

    unsupported_file: no parser for this type. invalid_file: damaged, mislabelled or in an unknown encoding.
    empty_file: nothing to index. too_large: more text than one file may hold. encrypted_file: it opens with a password
    alone. needs_ocr: it holds pictures of text. parser_failed: its parser died of it, of time or of memory.
    """

    def __init__(self, code: ParseErrorCode, message: str) -> None:
        super().__init__(code, message)  # both, so that it survives pickling
        self.code: ParseErrorCode = code
        self.message = message

    def __str__(self) -> str:
        return self.message
