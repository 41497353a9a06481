"""What a command says and how it ends: plain lines, progress where someone watches, one clear line for a failure."""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import typer

from models.packages import NotInstalled

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

SECONDS_BETWEEN_LINES = 5


class CommandError(Exception):
    """Ends the command with exit code 1 and this message, without a traceback."""


class ItemFailed(CommandError):
    """Of one of many: where the others go on, it is told and counted."""


def say(text: str = "") -> None:
    typer.echo(text)


def note(text: str) -> None:
    """For the person, not for a pipe."""
    typer.echo(text, err=True)


def json_line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def say_json(value: Any) -> None:
    say(json_line(value))


def watched() -> bool:
    """Whether someone is at a terminal."""
    return sys.stdout.isatty()


class Progress:
    """On a terminal a bar with the time left; elsewhere a line now and then. Passages, where there are any, are told
    with their rate; pages of scans, while they are recognised.
    """

    def __init__(self, title: str, total: int, *, silent: bool = False) -> None:
        self._title, self._total, self._silent = title, total, silent
        self._done, self._passages, self._began = 0, 0, time.monotonic()
        self._pages: dict[str, tuple[int, int]] = {}
        self._said = self._began
        self._bar = _bar() if watched() and not silent else None

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
            self._task = self._bar.add_task(self._title, total=self._total)
        return self

    def say(self, line: str) -> None:
        if self._bar:
            self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            say(line)
        self._said = time.monotonic()

    def reach(self, done: int) -> None:
        self._done = done
        if self._bar:
            self._bar.update(self._task, completed=done, description=self._title + self._rate())
        elif not self._silent and time.monotonic() - self._said > SECONDS_BETWEEN_LINES:
            left = (time.monotonic() - self._began) * (self._total - done) / done if done else None
            rest = "" if left is None else f", {left:.0f} s left"
            self.say(f"{self._title}: {done} of {self._total}{self._rate()}{rest}")

    def advance(self, passages: int = 0) -> None:
        self._passages += passages
        self.reach(self._done + 1)

    def recognised(self, name: str, pages: tuple[int, int] | None) -> None:
        """Of a scan: pages done, and all of them; None: it is none, or is done."""
        if pages:
            self._pages[name] = pages
        elif self._pages.pop(name, None) is None:
            return
        self.reach(self._done)

    def _rate(self) -> str:
        seconds = max(time.monotonic() - self._began, 0.001)
        rate = f", {self._passages} passages, {self._passages / seconds:.1f}/s" if self._passages else ""
        done, total = (sum(counts) for counts in zip(*self._pages.values(), strict=True)) if self._pages else (0, 0)
        return f"{rate}, OCR: {done} of {total} pages" if total else rate

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()


def _bar() -> "RichProgress":
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return RichProgress(*columns, transient=True)


@contextmanager
def failures() -> Iterator[None]:
    """A failure that the caller can do something about is one line; anything else is a bug and keeps its traceback."""
    try:
        yield
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output left; nobody hears a complaint
        raise typer.Exit(0) from None
    except (CommandError, NotInstalled, OSError) as error:
        note(f"ragpod: {error}")
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def run_plain(command: Callable[[], int | None]) -> None:
    """The exit code is what the command returns; None is 0."""
    with failures():
        code = command()
        if code:
            raise typer.Exit(code)


def run(command: Coroutine[Any, Any, int | None]) -> None:
    run_plain(lambda: asyncio.run(command))
