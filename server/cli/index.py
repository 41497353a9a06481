"""`ragpod index`: the generations of vector stores: listed, switched to, dropped."""

from typing import TYPE_CHECKING, Annotated

import typer

from server.cli.base.options import AsJson, Data, Store, Url
from server.cli.base.terminal import CommandError, run, say, say_json

if TYPE_CHECKING:
    from server.cli.base.client import Json
    from server.cli.base.connection import Where

app = typer.Typer(help="What is found of each store, built anew, or was found before.", no_args_is_help=True)
IndexId = Annotated[str, typer.Argument(help="As `ragpod index list` shows it.", show_default=False)]


@app.command("list")
def listed(store: Store = None, data: Data = None, url: Url = None, as_json: AsJson = False) -> None:
    """Passages and vectors by the settings that they were made with.

    found: by searches. building: made anew, as the settings want it now; found when it is complete. kept: found
    before, and dropped by itself (store.kept_days). refused: found before somebody switched back.

    \b
    ragpod index list
    ragpod index list --store help
    """
    from server.cli.base.connection import Where

    run(_show(Where(data, url), store, as_json=as_json))


@app.command("switch")
def switch(
    index_id: IndexId,
    anyway: Annotated[bool, typer.Option("--anyway", help="Also where it lacks files that are found now.")] = False,
    data: Data = None,
    url: Url = None,
) -> None:
    """Go back to what was found before, at once.

    Files that came since are found when they are ingested. It lasts: the next start does not undo it.

    \b
    ragpod index switch vs_6f1d
    """
    from server.cli.base.connection import Where

    run(_switch(Where(data, url), index_id, anyway=anyway))


@app.command("drop")
def drop(index_id: IndexId, data: Data = None, url: Url = None) -> None:
    """Free the disk of what is not found.

    \b
    ragpod index drop vs_6f1d
    """
    from server.cli.base.connection import Where

    run(_drop(Where(data, url), index_id))


_WHY = {
    "waiting": "it lacks files that are found now: it is switched to by itself when it has them, or with --anyway",
    "failed": "files that are found now failed in it: `ragpod index list` tells how many; --anyway does without them",
}


async def _show(where: "Where", store: str | None, *, as_json: bool) -> int:
    """store: None is every one."""
    from server.cli.base.connection import connected

    async with connected(where) as client:
        named = await client.store_id(store) if store else None
        found = await client.generations(named)
    if as_json:
        say_json(found)
    else:
        for each in found:
            say(_line(each))
    return 0


async def _switch(where: "Where", index_id: str, *, anyway: bool) -> int:
    """Raises CommandError where it was not."""
    from server.cli.base.connection import connected

    async with connected(where) as client:
        result = await client.switch_generation(index_id, anyway=anyway)
    if result != "switched":
        raise CommandError(f"not switched: {_WHY.get(result, result)}")
    say(f"{index_id} is found from now on; what was found before is kept: `ragpod index list`")
    return 0


async def _drop(where: "Where", index_id: str) -> int:
    from server.cli.base.connection import connected

    async with connected(where) as client:
        await client.drop_generation(index_id)
    say(f"{index_id} is dropped")
    return 0


def _line(each: "Json") -> str:
    made = each["made_by"]
    recipe = "empty"
    if made:
        recipe = f"{made['embedder']} ({made['dimensions']}), passages of {made['passage_tokens']}"
        recipe += f"/{made['passage_overlap']} tokens"
    held = f"{each['passages']} passages, {each['usage_bytes'] / 1e6:.1f} MB"
    if each["state"] == "building":
        held = f"{each['files']['completed']} of {each['files']['total']} files, {held}"
        held += f", {each['failed']} failed" if each["failed"] else ""
    return f"{each['vector_store_name']}  {each['id']}  {each['state']:<8}  {recipe}; {held}"
