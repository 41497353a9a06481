"""By how many MiB a process grows: python -m tests.retrieval.blobs.memory_child URL FOLDER MIB

At most, resident (tracemalloc does not see what obstore takes), while a file of MIB is staged, put, opened and read.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from retrieval.blobs.opening import blobs_of
from retrieval.blobs.staging import staged

MIB = 1 << 20


def resident(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) / 1024


@contextmanager
def growing(grown: dict[str, float], name: str) -> Iterator[None]:
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = resident("VmRSS")
    yield
    grown[name] = resident("VmHWM") - before


def main(url: str, folder: Path, mib: int) -> None:
    blobs, grown = blobs_of(url, folder), dict[str, float]()
    with staged([b"first"], folder, None) as one:  # code is loaded, connections are made
        blobs.put(one.digest, one.path)
    with growing(grown, "staged"):
        uploading = staged((bytes([n]) * MIB for n in (at % 256 for at in range(mib))), folder, None)
        one = uploading.__enter__()
    with growing(grown, "put"):
        blobs.put(one.digest, one.path)
    uploading.__exit__(None, None, None)
    with growing(grown, "open"), closing(blobs.open(one.digest)) as stream:
        assert sum(len(piece) for piece in iter(lambda: stream.read(MIB), b"")) == mib * MIB
    print(json.dumps(grown))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
