"""What can go wrong inside a model.

ModelError
├── Overloaded     the queue is full: try again later
├── Unavailable    the engine is down, starting or broke off: try again later
├── Timeout        it did not answer in time: try again later
├── InputTooLong   the request can never succeed as it is
└── BadRequest     the engine refused the request itself
"""


class ModelError(Exception):
    """Base of every model failure; `retryable` tells "try later" from "never"."""

    retryable = False


class Overloaded(ModelError):
    retryable = True


class Unavailable(ModelError):
    retryable = True


class Timeout(ModelError):  # the field's noun; module-qualified where TimeoutError is near
    retryable = True


class InputTooLong(ModelError):
    pass


class BadRequest(ModelError):
    """The engine refused the request itself (HTTP 4xx); `param` names the field where the engine said so."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param
