"""Asks a running ragpod, through whatever proxies lie before it, what a client needs of it.

    RAGPOD_API_KEY=… python scripts/smoke_test.py https://POD-8000.proxy.runpod.net --wait 1800

One line for each check: ok, warn (it works, look at it) or FAIL. Last line: JSON, with every number. Ends with 1 where
a check failed, 2 where nothing could be asked.
"""

import argparse
import asyncio
import json
import os
import sys
import time

import aiohttp
from streaming.pod import CHECKS, Pod, health, models
from streaming.results import Result, checked


async def until_ready(pod: Pod, seconds: float) -> None:
    """Says on stderr what is missing, whenever that changes."""
    until, last = time.monotonic() + seconds, ""
    while time.monotonic() < until:
        try:
            status, text = await pod.get("/ready")
        except (aiohttp.ClientError, TimeoutError) as error:
            status, text = 0, f"nobody answers: {error!r}"
        if status == 200:
            return
        if text[:120] != last:
            last = text[:120]
            print(f"HTTP {status}: {last}", file=sys.stderr, flush=True)
        await asyncio.sleep(2)


async def run(given: argparse.Namespace) -> int:
    key = os.environ.get("RAGPOD_API_KEY")
    headers = {"User-Agent": "ragpod-smoke-test"} | ({"Authorization": f"Bearer {key}"} if key else {})
    timeout = aiohttp.ClientTimeout(total=given.timeout)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as http:
        pod = Pod(http, given.url.rstrip("/"), key, given.silence, given.freed)
        await until_ready(pod, given.wait)
        results: dict[str, Result] = {}
        for check in CHECKS:
            name = check.__name__.replace("_", "-")
            if given.only and name not in {"health", "models", *given.only}:
                continue
            pod.numbers = {}
            result = results[name] = await checked(check(pod))
            result.numbers = pod.numbers
            print(f"{result.outcome:<5} {name:<11} {result.detail}", flush=True)
            if result.outcome == "FAIL" and check in (health, models):
                break
    failed = [name for name, result in results.items() if result.outcome == "FAIL"]
    told = {name: {"outcome": r.outcome, "detail": r.detail} | r.numbers for name, r in results.items()}
    print(json.dumps({"url": pod.url, "ok": not failed, "failed": failed, "checks": told}))
    return 2 if "health" in failed else int(bool(failed))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--wait", type=float, default=0, metavar="SECONDS", help="first, until /ready says yes")
    parser.add_argument("--timeout", type=float, default=120, metavar="SECONDS", help="of each request")
    parser.add_argument("--silence", type=float, default=15, metavar="SECONDS", help="longest time without a byte")
    parser.add_argument("--freed", type=float, default=10, metavar="SECONDS", help="for an abandoned answer to end")
    names = [check.__name__.replace("_", "-") for check in CHECKS]
    parser.add_argument("--only", nargs="+", choices=names, metavar="CHECK", help=f"of {', '.join(names)}")
    sys.exit(asyncio.run(run(parser.parse_args())))


if __name__ == "__main__":
    main()
