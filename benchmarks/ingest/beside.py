"""One owner's single file while another one's 2,000 files and an 800-page PDF wait: from its upload to completed.

    python -m benchmarks.ingest.beside [--files 2000] [--pages 800] [--single 10]

In one process, with everything of the embedded profile and two parsers' children. First the single files alone; then
the same number, one after another, begun when the large upload has been accepted and 20 of its files are done. The PDF
is made on the spot. share_done: of the large upload when the last single file was completed.
"""

import asyncio
import random
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.harness import options, report
from benchmarks.ingest.growth import opened
from benchmarks.stores import sentence
from models.embedders.e5 import E5Embedder
from retrieval.ingest.worker import Ingestor
from retrieval.store.store import Store

_LINES = 40  # of a page
_DONE_BEFORE = 20


@dataclass(frozen=True, slots=True)
class Row:
    """Seconds of single files, and what the other owner had waiting meanwhile."""

    beside: str
    single_files: int
    p50_s: float
    most_s: float
    share_done: float | None
    pdf: str | None


def main() -> None:
    arguments = options(__doc__)
    arguments.add_argument("--files", type=int, default=2000)
    arguments.add_argument("--pages", type=int, default=800)
    arguments.add_argument("--single", type=int, default=10)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = asyncio.run(_measured(Path(folder), given.files, given.pages, given.single, random.Random(given.seed)))
    report("ingest.beside", given, rows)


async def _measured(folder: Path, files: int, pages: int, single: int, chance: random.Random) -> list[Row]:
    embedder = E5Embedder.load()
    async with opened(folder, embedder) as (store, ingestor, _):
        alone = await _singles(store, ingestor, single, chance)
        store_id = store.vector_stores.create("large", "many").id
        pdf = await _put(store, ingestor, "large", store_id, "manual.pdf", made_pdf(pages, chance))
        for number in range(files):
            await _put(store, ingestor, "large", store_id, f"{number}.txt", sentence(chance).encode())
        while _completed(store, store_id) < min(_DONE_BEFORE, files):  # noqa: ASYNC110  nobody tells of this number
            await asyncio.sleep(0.1)
        beside = await _singles(store, ingestor, single, chance)
        done = _completed(store, store_id)
        state = store.attachments.get("large", store_id, pdf)
    embedder.close()
    return [
        Row("nothing", single, round(median(alone), 2), round(max(alone), 2), None, None),
        Row(
            f"{files} files, a PDF of {pages} pages",
            *(single, round(median(beside), 2), round(max(beside), 2), round(done / (files + 1), 3)),
            f"{state.status}, {state.embedded} of {state.chunks} passages",
        ),
    ]


def _completed(store: Store, store_id: str) -> int:
    return store.vector_stores.progress("large", store_id).files.completed


async def _singles(store: Store, ingestor: Ingestor, count: int, chance: random.Random) -> list[float]:
    store_id, taken = store.vector_stores.create("small", "few").id, []
    for number in range(count):
        began = time.perf_counter()
        file_id = await _put(store, ingestor, "small", store_id, f"{number}.md", f"# {sentence(chance)}".encode())
        done = await ingestor.wait("small", store_id, file_id)
        assert done.status == "completed", done.error
        taken.append(time.perf_counter() - began)
    return taken


async def _put(store: Store, ingestor: Ingestor, owner: str, store_id: str, name: str, content: bytes) -> str:
    file = await asyncio.to_thread(store.files.add, owner, name, content)
    await ingestor.submit(owner, store_id, file.id)
    return file.id


def made_pdf(pages: int, chance: random.Random) -> bytes:
    """Of text in Helvetica, _LINES lines a page; the objects in order, with their table."""
    numbers = [4 + 2 * page for page in range(pages)]
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Count {pages}/Kids[{' '.join(f'{number} 0 R' for number in numbers)}]>>".encode(),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    for number in numbers:
        lines = "".join(f"({sentence(chance)}) Tj T*\n" for _ in range(_LINES))
        stream = f"BT /F1 10 Tf 16 TL 50 740 Td\n{lines}ET".encode()
        place = "/Parent 2 0 R/MediaBox[0 0 612 792]/Resources<</Font<</F1 3 0 R>>>>"
        objects.append(f"<</Type/Page{place}/Contents {number + 1} 0 R>>".encode())
        objects.append(b"<</Length %d>>\nstream\n%b\nendstream" % (len(stream), stream))
    made, offsets = bytearray(b"%PDF-1.7\n"), []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(made))
        made += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    table = len(made)
    made += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    made += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return bytes(made + b"trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, table))


if __name__ == "__main__":
    main()
