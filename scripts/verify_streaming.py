"""Whether an OpenAI-compatible URL streams as it should, through whatever lies before it.

    python scripts/verify_streaming.py http://127.0.0.1:8080 --model ragpod --prompt "How do I return a parcel?" \\
        --metrics http://127.0.0.1:8080/metrics

Asks one question five to seven times at temperature 0, streamed and not. One line for each check: ok, warn (it works,
look at it), n/a (it could not be told) or FAIL. Last line: JSON, with every number. Ends with 1 where a check failed, 2
where nothing could be asked.
"""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable

import aiohttp
from streaming import text, wire
from streaming.leaving import STORY, Gauge, leave_stream, leave_whole
from streaming.results import NotAsked, Result, checked
from streaming.seen import LIMITS, Endpoint, Seen, see
from streaming.timing import Json, NotOpenAI
from yarl import URL

PROMPT = "Count from 1 to 200, with one number in each line. Begin with 1."


def checks_of(seen: Seen, ping_after: float) -> dict[str, Callable[[], str]]:
    plain, counted = seen.streams
    return {
        "headers": lambda: wire.headers(plain),
        "events": lambda: wire.events(counted),
        "id": lambda: wire.ids(plain, counted),
        "role": lambda: wire.roles(plain),
        "finish": lambda: wire.finish(plain),
        "done": lambda: wire.done(plain) and wire.done(counted),
        "usage": lambda: wire.usage(plain, counted),
        "characters": lambda: wire.characters(plain),
        "as-made": lambda: wire.as_made(seen.smoother, seen.first_token),
        "same-text": lambda: text.same(seen.wholes, [stream.text for stream in seen.streams]),
        "last-delta": lambda: text.not_repeated([told for _, told in plain.deltas]),
        "pings": lambda: wire.pings(seen.streams, ping_after),
    }


def leaving_checks(endpoint: Endpoint, gauge: Gauge | None) -> dict[str, Callable[[], Awaitable[str]]]:
    body = endpoint.body | {"messages": STORY} | {name: 2048 for name in LIMITS if name in endpoint.body}

    async def ask(leave: Callable[[Gauge, str, Json], Awaitable[str]]) -> str:
        if gauge is None:
            raise NotAsked("no --metrics URL")
        return await leave(gauge, endpoint.chat, body)

    return {"leave-stream": lambda: ask(leave_stream), "leave-whole": lambda: ask(leave_whole)}


async def verify(given: argparse.Namespace, tell: Callable[[str, Result], None]) -> tuple[Endpoint, dict[str, Result]]:
    """Raises NotOpenAI, aiohttp.ClientError, TimeoutError where nothing could be asked."""
    address = given.url.rstrip("/")
    authorization = {"Authorization": f"Bearer {given.api_key}"} if given.api_key else {}
    results: dict[str, Result] = {}

    async def note(name: str, check: Awaitable[str]) -> None:
        results[name] = await checked(check)
        tell(name, results[name])

    timeout = aiohttp.ClientTimeout(total=given.timeout)
    async with (
        aiohttp.ClientSession(timeout=timeout, headers=authorization) as http,
        aiohttp.ClientSession(timeout=timeout) as stranger,
    ):
        endpoint = Endpoint(http, address if address.endswith("/v1") else f"{address}/v1")
        model = given.model or await endpoint.first_model()
        messages = [{"role": "user", "content": given.prompt}]
        endpoint.body = {
            "model": model,
            "messages": messages,
            "max_tokens": given.max_tokens,
            "temperature": 0,
            "seed": 0,
        }
        seen = await see(endpoint)
        for name, check in checks_of(seen, given.ping_after).items():
            await note(name, _now(check))
        results["as-made"].numbers = wire.numbers(seen.smoother)
        gauge = None
        if given.metrics:
            ours = URL(given.metrics).origin() == URL(address).origin()
            gauge = Gauge(http, http if ours else stranger, given.metrics, given.freed)
        for name, ask in leaving_checks(endpoint, gauge).items():
            await note(name, ask())
    return endpoint, results


async def _now(check: Callable[[], str]) -> str:
    return check()


async def run(given: argparse.Namespace) -> int:
    def tell(name: str, result: Result) -> None:
        if not given.json:
            print(f"{result.outcome:<5} {name:<13} {result.detail}", flush=True)

    try:
        endpoint, results = await verify(given, tell)
    except (NotOpenAI, aiohttp.ClientError, TimeoutError, KeyError, ValueError) as error:
        print(json.dumps({"url": given.url, "ok": False, "error": str(error) or repr(error)}))
        return 2
    failed = [name for name, result in results.items() if result.outcome == "FAIL"]
    told = {name: {"outcome": r.outcome, "detail": r.detail} | r.numbers for name, r in results.items()}
    print(
        json.dumps(
            {"url": given.url, "model": endpoint.body["model"], "ok": not failed, "failed": failed, "checks": told}
        )
    )
    return int(bool(failed))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="with or without /v1")
    parser.add_argument("--model", help="default: the first of /v1/models")
    parser.add_argument("--api-key", default=os.environ.get("RAGPOD_API_KEY") or os.environ.get("OPENAI_API_KEY"))
    parser.add_argument("--prompt", default=PROMPT)
    parser.add_argument("--max-tokens", type=int, default=96, metavar="N")
    parser.add_argument("--metrics", metavar="URL", help="Prometheus page that tells how many answers run")
    parser.add_argument("--freed", type=float, default=1, metavar="SECONDS", help="for an abandoned answer to end")
    parser.add_argument("--ping-after", type=float, default=20, metavar="SECONDS", help="longest time without a byte")
    parser.add_argument("--timeout", type=float, default=300, metavar="SECONDS", help="of each request")
    parser.add_argument("--json", action="store_true", help="only the JSON")
    sys.exit(asyncio.run(run(parser.parse_args())))


if __name__ == "__main__":
    main()
