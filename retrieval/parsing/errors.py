"""The one way parsing fails, and its codes."""

from typing import Literal

ParseErrorCode = Literal["unsupported_file", "invalid_file", "empty_file", "too_large"]


class ParseError(Exception):
    """The file itself cannot be indexed: trying again will not help. `message` is fit for its owner to read.

    unsupported_file: no parser for this type. invalid_file: damaged, mislabelled or in an unknown encoding.
    empty_file: nothing to index. too_large: more text than one file may hold.
    """

    def __init__(self, code: ParseErrorCode, message: str) -> None:
        super().__init__(code, message)  # both, so that it survives pickling
        self.code: ParseErrorCode = code
        self.message = message

    def __str__(self) -> str:
        return self.message
