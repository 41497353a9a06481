"""What one check of a script found: an outcome, one line for a person, numbers for a program."""

from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any, Literal

import aiohttp

from streaming.timing import NotOpenAI

Outcome = Literal["ok", "warn", "n/a", "FAIL"]


class Failed(Exception):
    """The message says what is wrong."""


class Warned(Exception):
    """The message says what to look at."""


class NotAsked(Exception):
    """The message says why the check could not tell."""


@dataclass
class Result:
    outcome: Outcome
    detail: str
    numbers: dict[str, Any] = field(default_factory=dict)


async def checked(check: Awaitable[str]) -> Result:
    """What the check returns, or raises, as a Result."""
    try:
        return Result("ok", await check)
    except Warned as warning:
        return Result("warn", str(warning))
    except NotAsked as reason:
        return Result("n/a", str(reason))
    except (Failed, NotOpenAI) as error:
        return Result("FAIL", str(error))
    except (aiohttp.ClientError, TimeoutError, KeyError, ValueError) as error:
        return Result("FAIL", repr(error))
