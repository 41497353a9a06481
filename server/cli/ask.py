"""`ragpod ask`: the answer as it comes, then its sources."""

from collections.abc import Mapping, Sequence
from typing import Any

import typer

from retrieval.characters import one_line
from retrieval.places import shown
from server.cli.base.client import Client, Json
from server.cli.base.connection import Where, connected
from server.cli.base.terminal import note, say, say_json


async def run(where: Where, store: str | None, question: str, *, as_json: bool) -> None:
    async with connected(where) as client:
        await answer(client, store, question, as_json=as_json)


async def answer(client: Client, store: str | None, question: str, *, as_json: bool = False) -> None:
    """Raises CommandError: an unknown store, a refusal, an answer that broke off."""
    text = ""
    citations: list[Json] = []
    annotations: list[Json] = []
    meta: Json = {}
    async for chunk in client.ask(f"ragpod:{store}" if store else "ragpod", question):
        meta = chunk.get("ragpod", meta)
        for choice in chunk["choices"]:
            delta: Json = choice["delta"]
            piece = delta.get("content") or ""
            citations = delta.get("context", {}).get("citations", citations)
            annotations = delta.get("annotations", annotations)
            text += piece
            if not as_json:
                typer.echo(piece, nl=False)
    if as_json:
        say_json({"answer": text, "citations": citations, "annotations": annotations, "ragpod": meta})
        return
    say()
    for line in source_lines(citations, annotations):
        say(line)
    for skipped in meta.get("degraded", ()):
        note(f"note: {skipped}")


def source_lines(citations: Sequence[Mapping[str, Any]], annotations: Sequence[Mapping[str, Any]]) -> list[str]:
    """The sources that the answer cites, in the order of their marks; all of them where it cites none."""
    cited = {annotation["index"] for annotation in annotations}
    shown = [(i, citation) for i, citation in enumerate(citations) if i in cited or not cited]
    if not shown:
        return []
    lines = [_source_line(i + 1, citation) for i, citation in shown]
    return ["", "Sources" if cited else "Sources (none is cited)", *lines]


def _source_line(mark: int, citation: Mapping[str, Any]) -> str:
    section = " > ".join(heading for heading in citation.get("headings") or () if heading != citation["title"])
    named = " · ".join(part for part in (citation["title"], section, citation["filepath"], shown(citation)) if part)
    return f"  [{mark}] {one_line(named)}  ({citation['score']:.2f})"
