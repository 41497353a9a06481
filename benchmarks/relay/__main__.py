"""What the server adds to a streamed chunk: a stub engine directly, through our routes, and through LiteLLM's proxy.

    python -m benchmarks.relay [--streams 1,16,64,256] [--chunks 200] [--rate 50] [--rounds 3] [--litellm COMMAND]

Engine, servers and client are processes of their own; the engine paces every stream at `--rate` chunks a second. All
streams of a row begin at once, or spread over half of a stream's time. `engine id` is our route with the engine's own
model id, `ragpod` an answer from documents: one in ten chunks is a citation, and the turn is stored. The paths take
turns, `--rounds` times; a row is the median. LiteLLM has an environment of its own: pip install 'litellm[proxy]'. The
last line is JSON.
"""

import argparse
import asyncio
import itertools
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp
import uvloop

from benchmarks.harness import note, options, report
from benchmarks.relay.load import Row, Target, measure
from benchmarks.relay.paced_engine import MODEL, run_engine
from benchmarks.relay.processes import litellm, process

DOCUMENT = "# Delivery\n\nDelivery takes two days. Returns are free within a week.\n"
LITELLM_CHUNKS = 40  # of a stream: it relays some 500 a second


@dataclass(frozen=True, slots=True)
class Result(Row):
    """added: to the first word of the engine itself, with everything, and without the search."""

    added_p50: float | None
    added_rest_p50: float | None


def run_server() -> None:
    from server.app.run import serve
    from server.settings.settings import Settings

    serve(Settings.load(log_level="warning"), lambda url: print(url, flush=True))


async def put_document(url: str) -> None:
    async with aiohttp.ClientSession(url) as session:
        form = aiohttp.FormData()
        form.add_field("purpose", "assistants")
        form.add_field("file", DOCUMENT.encode(), filename="delivery.md")
        file = await (await session.post("/v1/files", data=form)).json()
        store = await (await session.post("/v1/vector_stores", json={"name": "relay"})).json()
        path = f"/v1/vector_stores/{store['id']}/files"
        attached = await (await session.post(path, json={"file_id": file["id"]})).json()
        while attached["status"] == "in_progress":
            await asyncio.sleep(0.1)
            attached = await (await session.get(f"{path}/{file['id']}")).json()
        assert attached["status"] == "completed", attached


async def compare(targets: Sequence[Target], given: argparse.Namespace) -> list[Result]:
    await put_document(next(target.url for target in targets if target.path == "ragpod"))
    results: list[Result] = []
    for streams, begin in itertools.product((int(count) for count in given.streams.split(",")), ("at once", "spread")):
        if streams == 1 and begin == "spread":
            continue
        rows: dict[str, list[Row]] = {target.path: [] for target in targets}
        for _ in range(given.rounds):
            for target in targets:
                length = min(given.chunks, target.chunks or given.chunks) / given.rate
                spread = length / 2 if begin == "spread" else 0.0
                rows[target.path].append(await measure(target, streams, given.chunks, spread))
                note(rows[target.path][-1])
        middle = {path: middle_of(of_path) for path, of_path in rows.items()}
        results += [_result(row, middle["direct"]) for row in middle.values()]
    return results


def middle_of(rows: Sequence[Row]) -> Row:
    """Field by field the median; errors are summed."""
    each = [asdict(row) for row in rows]
    numbers: dict[str, Any] = {}
    for name in each[0]:
        values = [row[name] for row in each]
        if name == "errors":
            numbers[name] = sum(values)
        elif isinstance(values[0], float):
            numbers[name] = median(values)
        else:
            numbers[name] = values[0]
    return Row(**numbers)


def _result(row: Row, direct: Row) -> Result:
    if row.path == "direct":
        return Result(**asdict(row), added_p50=None, added_rest_p50=None)
    added = (round(row.first_p50 - direct.first_p50, 1), round(row.rest_p50 - direct.first_p50, 1))
    return Result(**asdict(row), added_p50=added[0], added_rest_p50=added[1])


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--streams", default="1,16,64,256")
    parser.add_argument("--chunks", type=int, default=200)
    parser.add_argument("--rate", type=float, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--litellm", help="its command, where it is to be measured too")
    parser.add_argument("--role", choices=["engine", "server"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.role == "engine":
        uvloop.run(run_engine(given.rate))
    elif given.role == "server":
        run_server()
    else:
        report("relay", given, run(given))


def run(given: argparse.Namespace) -> list[Result]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        _, port = stack.enter_context(process("--role", "engine", "--rate", str(given.rate)))
        engine = f"http://127.0.0.1:{port}"
        settings = {
            "RAGPOD_PORT": "0",
            "RAGPOD_DATA_DIR": str(folder / "data"),
            "RAGPOD_ENGINE_URL": f"{engine}/v1",
            "RAGPOD_ENGINE_MODEL": MODEL,
            "RAGPOD_LIMITS_ANSWERS": str(max(int(count) for count in given.streams.split(","))),
            "RAGPOD_RETRIEVAL_MIN_SCORE": "0",
        }
        pid, url = stack.enter_context(process("--role", "server", **settings))
        targets = [
            Target("direct", engine, MODEL),
            Target("engine id", url, MODEL, pid),
            Target("ragpod", url, "ragpod:relay", pid),
        ]
        if given.litellm:
            pid, url = stack.enter_context(litellm(given.litellm, engine, folder))
            targets.append(Target("LiteLLM", url, MODEL, pid, LITELLM_CHUNKS))
        return uvloop.run(compare(targets, given))


if __name__ == "__main__":
    main()
