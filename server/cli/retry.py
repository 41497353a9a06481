"""`ragpod retry`: files whose ingest failed or was cancelled, once more."""

import asyncio
from collections.abc import Sequence

from retrieval.characters import same
from server.cli.base.client import Client, Json
from server.cli.base.connection import Where, connected
from server.cli.base.outcomes import AT_ONCE, Ingested, Outcome, outcome_of, tell
from server.cli.base.terminal import CommandError, say


async def run(where: Where, store: str | None, files: Sequence[str], *, all_failed: bool, as_json: bool) -> int:
    """0, or 1 where one failed again. files: ids or names; none: those of the store that failed, or of every store."""
    if (files and all_failed) or not (files or all_failed or store):
        raise CommandError("say which: FILE…, --store NAME (what failed there), or --all-failed (in every store)")
    async with connected(where) as client:
        if all_failed and store is None:
            ids = [str(each["id"]) for each in await client.stores()]
        else:
            ids = [await client.store_id(store or client.default_store)]
        chosen = [each for store_id in ids for each in await _chosen(client, store_id, files)]
        if not chosen:
            if not as_json:
                say("no file has failed")
            return 0
        permits = asyncio.Semaphore(AT_ONCE)
        return await tell("retry", [_again(client, each, permits) for each in chosen], as_json=as_json)


async def _chosen(client: Client, store_id: str, files: Sequence[str]) -> list[Json]:
    """What was cancelled was somebody's wish: it is tried again where it is named."""
    if not files:
        return await client.attached_all(store_id, "failed")
    there = await client.attached_all(store_id)
    chosen = []
    for name in files:
        named = [each for each in there if each["id"] == name or same(each["ragpod"]["filename"]) == same(name)]
        if not named:
            raise CommandError(f"no file {name!r} in that store")
        chosen.append(named[-1])  # of the contents that a name has had, the last
    return chosen


async def _again(client: Client, file: Json, permits: asyncio.Semaphore) -> Ingested:
    async def work() -> tuple[Outcome, Json]:
        if file["status"] == "completed":
            return "unchanged", file
        ended = await client.retry(file["vector_store_id"], file["id"])
        return ("added" if ended["status"] == "completed" else "failed"), ended

    return await outcome_of(file["ragpod"]["filename"], work, permits)
