"""HTTP, people and time: the server around retrieval and models.

Ground: nothing.
Roof: nothing.
"""

import os

# Before NumPy is loaded: its BLAS would take every core for products of a few milliseconds, and wait for its slowest
# thread. With a busy neighbour two threads on two cores made late interaction ten times slower (docs/LOG.md).
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
