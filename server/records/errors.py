"""What is not kept here, or not for this owner: another owner's id is as unknown as one that never was.

And what is kept, but more of it than may be asked for.
"""


class RecordError(LookupError):
    """param: the field of the request that named it."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class UnknownTurn(RecordError):
    pass


class UnknownResponse(RecordError):
    pass


class ChainTooLong(RecordError):
    pass


class UnknownItem(RecordError):
    pass


class UnknownSession(RecordError):
    pass


class UnknownMessage(RecordError):
    pass


class UnknownBookmark(RecordError):
    pass


class SessionBusy(RecordError):
    """An answer of it still runs: two are never mixed."""
