"""Ingests the one file that is put up, a scan, with real children and a real tesseract, until it is killed. Run as a
program: DATA_DIR. Prints "recognised N" whenever so many of its pages are on disk.
"""

import asyncio
import sys
from pathlib import Path

from retrieval.sandbox.pool import Ocr, Pool
from tests.retrieval.ingest.fake_embedder import OWNER, Bench, FakeEmbedder
from tests.retrieval.parsing.pdf.scans import many, scan
from tests.until import PATIENCE

PAGES = 12


async def work(data_dir: Path) -> None:
    bench = Bench(data_dir)
    parser = Pool(1, ocr=Ocr("eng", seconds=PATIENCE))
    folder = data_dir / "recognised"
    async with bench.ingestor(FakeEmbedder(), parser=parser, recognised=folder) as ingestor:
        await ingestor.submit(OWNER, bench.vs, await bench.add("scan.pdf", scan(*many(PAGES))))
        told = 0
        while True:
            if (found := len(list(folder.glob("*/*.tsv")))) != told:
                told = found
                print("recognised", told, flush=True)
            await asyncio.sleep(0.02)


if __name__ == "__main__":
    asyncio.run(work(Path(sys.argv[1])))
