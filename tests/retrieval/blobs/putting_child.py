"""A process that stages and puts until it is killed: python -m tests.retrieval.blobs.putting_child URL FOLDER

Prints the digest of what is put; FOLDER is where it stages.
"""

import random
import sys
from itertools import count
from pathlib import Path

from retrieval.blobs.opening import blobs_of
from retrieval.blobs.staging import staged
from retrieval.blobs.temporary import without_leftovers

CONTENTS = [random.Random(0).randbytes(size) for size in (0, 100, 1 << 20, 6 << 20)]  # the last one in parts, to S3


def main(url: str, folder: Path) -> None:
    blobs = blobs_of(url, folder)
    without_leftovers(folder)
    for n in count():
        content = n.to_bytes(8, "big") + CONTENTS[n % len(CONTENTS)]
        with staged([content[start : start + 65_536] for start in range(0, len(content), 65_536)], folder, None) as one:
            blobs.put(one.digest, one.path)
        print(one.digest, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
