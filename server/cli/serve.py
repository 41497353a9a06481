"""`ragpod serve`."""

from typing import Any

from models.errors import ModelError
from retrieval.store.types import StoreError
from server.app.run import serve
from server.cli.connection import load_settings
from server.cli.terminal import CommandError, say


def run(*, engine_url: str | None, **overrides: Any) -> None:
    settings = load_settings(engine={"url": engine_url} if engine_url else None, **overrides)
    try:
        serve(settings, on_ready=lambda url: say(f"ragpod is ready at {url}"))
    except (ModelError, StoreError) as error:
        raise CommandError(str(error)) from None
