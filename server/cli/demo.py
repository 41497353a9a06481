"""`ragpod demo`: real documents, two questions, a real server; everything goes over its HTTP API."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from importlib.resources import as_file, files
from pathlib import Path
from pydoc_data.topics import topics

from server.cli.ask import answer
from server.cli.base.client import Client
from server.cli.base.connection import Where, connected
from server.cli.base.terminal import CommandError, say, watched
from server.cli.ingest import Source, put

QUESTIONS = (
    ("python", "What does the with statement do?"),
    ("help-ko", "2단계 인증을 끄려면 어떻게 해야 하나요?"),
)


async def run(data: Path, port: int, *, once: bool | None) -> None:
    async with connected(Where(data, port=port)) as client:
        say(f"server     {client.url}  (data in {data})")
        await put_documents(client, data)
        for store, question in QUESTIONS:
            say(f"\n[{store}] {question}\n")
            await answer(client, store, question)
        if not (once if once is not None else not watched()):
            await keep_serving(client)


async def put_documents(client: Client, data: Path) -> None:
    """The topics of this Python's own reference, and the Korean help centre that comes with ragpod."""
    failed = await put(client, "python", list(topic_files(data / "documents")), only_failures=True)
    with as_file(files("server.cli") / "demo_faq_ko.jsonl") as faq:
        failed |= await put(client, "help-ko", [Source(faq, "help-centre.jsonl")], only_failures=True)
    if failed:
        raise CommandError("some documents could not be indexed; see above")


def topic_files(folder: Path) -> Iterator[Source]:
    """`pydoc_data.topics` as text files."""
    folder.mkdir(parents=True, exist_ok=True)
    for topic, text in sorted(topics.items()):
        path = folder / f"{topic}.txt"
        path.write_text(text, encoding="utf-8")
        yield Source(path, path.name)


async def keep_serving(client: Client) -> None:
    body = '{"model": "ragpod:python", "stream": true, "messages": [{"role": "user", "content": "What is a lambda?"}]}'
    say(f"\nStill serving at {client.url} (its API: {client.url}/docs). Ctrl-C ends it. Try:\n")
    say(f"  curl -N {client.url}/v1/chat/completions -H 'Content-Type: application/json' -d \\\n    '{body}'")
    with suppress(asyncio.CancelledError):  # Ctrl-C is the way out
        await asyncio.Event().wait()
