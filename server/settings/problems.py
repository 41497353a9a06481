"""What is wrong with a setting, in a line for who starts the server."""

import difflib
from collections.abc import Sequence

from pydantic_core import ErrorDetails


def problem(error: ErrorDetails, prefix: str, names: Sequence[str]) -> str:
    """`key: what is wrong`; the value is shown only where it cannot be a secret.

    prefix: of settings in the environment. names: of all settings, for a suggestion where one is unknown.
    """
    key = ".".join(str(part) for part in error["loc"])
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        return f"{key}: unknown setting{_suggestion(key, prefix, names)}"
    if not key:
        return message
    shown = "" if "key" in key else f" (given: {error['input']!r})"
    return f"{key}: {message}{shown}"


def _suggestion(key: str, prefix: str, names: Sequence[str]) -> str:
    from_environment = key.upper().startswith(prefix)
    known = [prefix + name.upper().replace(".", "_") for name in names] if from_environment else names
    near = difflib.get_close_matches(key.upper() if from_environment else key, known, n=1)
    return f"; did you mean {near[0]}?" if near else ""
