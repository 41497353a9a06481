"""What runpodctl's deprecated development loop starts (runpod.toml): the server of this working copy.

    python scripts/runpod_handler.py --rp_serve_api --rp_api_host=0.0.0.0 --rp_api_port=8080

The loop's own environment is empty; the image's has what the server needs.
"""

import argparse
import os
import sys
from pathlib import Path

IMAGE_PYTHON = Path("/opt/ragpod/bin/python")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rp_api_host", default="127.0.0.1")
    parser.add_argument("--rp_api_port", default="8080")
    given, _ = parser.parse_known_args()
    python = str(IMAGE_PYTHON) if IMAGE_PYTHON.exists() else sys.executable
    os.chdir(Path(__file__).resolve().parent.parent)
    os.execv(python, [python, "-m", "server.cli", "serve", "--host", given.rp_api_host, "--port", given.rp_api_port])


if __name__ == "__main__":
    main()
