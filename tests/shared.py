"""The real documents and sets beside the project, of which none is copied into it."""

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("RAGPOD_SHARED") or Path(__file__).resolve().parents[1] / ".." / "shared") / "data"
OK, HOSTILE = SHARED / "docs" / "ok", SHARED / "docs" / "hostile"
needs_shared = pytest.mark.skipif(not OK.is_dir(), reason="the shared documents are not here")
