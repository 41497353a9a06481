"""vLLM in a process of its own: `python -P -m models.engines.vllm_child COMMAND…`.

COMMAND is vLLM's, without an address.

Takes a free loopback port at every start, prints one JSON line with the URL on stdout, and sends everything that vLLM
says to stderr. vLLM's engine core and workers are processes of their own, and stay behind when their API server is
killed: models.engines.lifeline ends them all with the parent. The server gives it none of its secrets
(engine_process.child_environment).
"""

import json
import os
import socket
import sys

from models.engines.lifeline import guard

HOST = "127.0.0.1"
# They would lead vLLM's own Python to this server's packages.
_PYTHON = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")


def main() -> None:
    port = _free_port()
    print(json.dumps({"url": f"http://{HOST}:{port}"}), flush=True)
    os.dup2(2, 1)
    kept = {name: value for name, value in os.environ.items() if name not in _PYTHON}
    sys.exit(guard([*sys.argv[1:], "--host", HOST, "--port", str(port)], kept))


def _free_port() -> int:
    """vLLM binds it within seconds, before it loads anything; one that was taken meanwhile ends its start."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
