"""Whether the machine has tesseract with both languages; tests that need it say so where it has not."""

import shutil
import subprocess

import pytest


def _here() -> bool:
    if shutil.which("tesseract") is None:
        return False
    listed = subprocess.run(["tesseract", "--list-langs"], capture_output=True, text=True, check=False)
    return {"eng", "kor"} <= set(listed.stdout.split())


TESSERACT = pytest.mark.skipif(
    not _here(),
    reason="needs tesseract-ocr and tesseract-ocr-kor (Debian's packages)",
)
