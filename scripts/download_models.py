"""Downloads the models of the cuda profile into the Hugging Face cache: resumed, each file's hash proven.

    python scripts/download_models.py                        what the settings and the card of this machine ask for
    python scripts/download_models.py Qwen/Qwen3-32B-AWQ     others; OWNER/NAME@REVISION names a commit, branch or tag
    python scripts/download_models.py --verify               reads every byte again; the network is not used

They go into $HF_HOME/hub in the layout that transformers and vLLM read, so that both find the model by its id with
HF_HUB_OFFLINE=1. What is complete is not asked for again. HF_TOKEN is used where it is set; HF_ENDPOINT names another
hub. Ends with 1 where a file is missing or wrong, and names it.
"""

import argparse
import asyncio
import os
import re
import sys
import time
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
from hub.cache import Cached, cache_folder
from hub.files import GB, HEADERS, DownloadError, File, Hub, Revision

if TYPE_CHECKING:  # the image's packages, wanted only where no model is named
    from models.engines.cards import Card
    from server.settings.sections import EngineSettings

PINNED = {
    "BAAI/bge-m3": "5617a9f61b028005a4858fdac845db406aefb181",
    "BAAI/bge-reranker-v2-m3": "953dc6f6f85a1b2dbfca4c34a2796e7dde08d41e",
    "Qwen/Qwen3-32B-FP8": "aa55da1ecc13d006e8b8e4f54579b1ea8c3db2df",
    "Qwen/Qwen3-32B-AWQ": "0499c3ac83fdef8810b907a23894ba91e95eddd8",
    "Qwen/Qwen3-32B": "9216db5781bf21249d130ec9da846c4624c16137",
}
NO_CARD_YET = "Qwen/Qwen3-32B-FP8"
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")
# Copies of the weights for other programs (2.3 GB of ONNX beside BGE-M3), and pictures.
UNUSED = ("onnx/*", "openvino/*", "imgs/*", "*.jpg", "*.png", "*.gguf", ".gitattributes")
AT_ONCE = 4
SECONDS_BETWEEN_LINES = 5.0


class Progress:
    """A line now and then on stderr."""

    def __init__(self, title: str, total: int) -> None:
        self._title, self._total = title, total
        self._done, self._begun, self._said = 0, time.monotonic(), time.monotonic()

    def told(self, size: int) -> None:
        self._done += size
        now = time.monotonic()
        if now - self._said > SECONDS_BETWEEN_LINES:
            self._said = now
            rate = self._done / 1e6 / (now - self._begun)
            note(f"{self._title}: {self._done / GB:.2f} of {self._total / GB:.2f} GB, {rate:.0f} MB/s")


def note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


async def download(hub: Hub, cached: Cached, name: str) -> None:
    """Raises DownloadError."""
    known = cached.known(name)
    if known and not cached.absent(known):
        note(f"{cached.repo}: complete at {known.commit[:12]}")
        return
    asked = await hub.revision(cached.repo, name)
    wanted = tuple(file for file in asked.files if not any(fnmatch(file.name, pattern) for pattern in UNUSED))
    revision = Revision(asked.repo, asked.commit, wanted)
    folder = cached.snapshot(revision.commit)
    missing = [file for file in wanted if not await asyncio.to_thread(file.proven, folder / file.name)]
    cached.need_room(missing, folder)
    total = sum(file.size for file in missing)
    note(f"{cached.repo}: {len(missing)} of {len(wanted)} files, {total / GB:.2f} GB, at {revision.commit[:12]}")
    progress, places = Progress(cached.repo, total), asyncio.Semaphore(AT_ONCE)

    async def one(file: File) -> None:
        async with places:
            await hub.fetch(revision, file, folder / file.name, progress.told)

    failures = [error for error in await asyncio.gather(*map(one, missing), return_exceptions=True) if error]
    if failures:
        raise DownloadError("\n".join(map(str, failures))) from failures[0]
    cached.complete(revision, name)
    note(f"{cached.repo}: complete at {revision.commit[:12]}, every hash proven")


def verify(cached: Cached, name: str) -> None:
    """Raises DownloadError with a line for each file that is missing or wrong."""
    known = cached.known(name)
    if known is None:
        raise DownloadError(f"{cached.repo}: not downloaded (at {name})")
    note(f"{cached.repo}: reading {sum(file.size for file in known.files) / GB:.2f} GB")
    folder = cached.snapshot(known.commit)
    wrong = [f"{cached.repo}: {file.name} is missing or wrong in {folder}" for file in cached.wrong(known)]
    if wrong:
        cached.forget(known)
        raise DownloadError("\n".join([*wrong, f"{cached.repo}: run this without --verify to fetch what is wrong"]))
    note(f"{cached.repo}: {len(known.files)} files at {known.commit[:12]}, every hash proven")


async def every(names: list[str], cache: Path, *, only_verify: bool) -> int:
    """The number of models that failed."""
    headers = HEADERS | ({"Authorization": f"Bearer {token}"} if (token := os.environ.get("HF_TOKEN")) else {})
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=60)
    failed = 0
    # A redirect leads to a signed address: spelled differently, its signature is wrong.
    async with aiohttp.ClientSession(headers=headers, timeout=timeout, requote_redirect_url=False) as session:
        hub = Hub(session, os.environ.get("HF_ENDPOINT") or "https://huggingface.co")
        for name in names:
            repo, _, revision = name.partition("@")
            cached, revision = Cached(cache, repo), revision or PINNED.get(repo, "main")
            try:
                if only_verify:
                    verify(cached, revision)
                else:
                    with cached.locked():
                        await download(hub, cached, revision)
            except (DownloadError, OSError) as error:
                failed += 1
                note(str(error))
    return failed


def wanted() -> list[str]:
    """The hub ids that `ragpod serve` would load here; none for the embedded profile.

    Raises SettingsError, and Unavailable where no model fits the card.
    """
    from models.engines.cards import cards
    from server.settings.settings import Settings

    settings, found = Settings.load(), cards()
    models, engine = settings.models, settings.engine
    if settings.profile == "embedded" or (settings.profile == "auto" and not found):
        return []
    names = [models.embedder, "" if models.reranker_url else models.reranker]
    if engine.model and not engine.url:
        names.append(engine.model)
    elif not engine.url:
        names.append(_fitting(found, engine) if found else NO_CARD_YET)
    return [name for name in names if HUB_ID.fullmatch(name) and not Path(name).is_dir()]


def _fitting(found: Sequence["Card"], engine: "EngineSettings") -> str:
    from models.engines.vllm_plan import plan

    limits = (engine.context_tokens, engine.tensor_parallel, engine.reserved_gib)
    return plan(found, context_tokens=limits[0], tensor_parallel=limits[1], reserved=limits[2]).model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="OWNER/NAME[@REVISION]")
    parser.add_argument("--cache", type=Path, default=cache_folder(), help="default: $HF_HOME/hub")
    parser.add_argument("--verify", action="store_true", help="only read what is there and compare every hash")
    given = parser.parse_args()
    if bad := [name for name in given.models if not HUB_ID.fullmatch(name)]:
        parser.error(f"not OWNER/NAME: {', '.join(bad)}")
    try:
        names = given.models or wanted()
    except Exception as error:  # of the settings or of the card, in words; their classes are the server's
        sys.exit(str(error))
    if not names:
        note("the embedded profile: its models come inside packages, nothing to fetch")
    sys.exit(1 if asyncio.run(every(names, given.cache, only_verify=given.verify)) else 0)


if __name__ == "__main__":
    main()
