"""The real PDFs beside the repository, and small ones written here."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("RAGPOD_SHARED") or Path(__file__).resolve().parents[4] / ".." / "shared")
OK = SHARED / "data/docs/ok"
HOSTILE = SHARED / "data/docs/hostile"
REAL = pytest.mark.skipif(not OK.is_dir(), reason="the shared documents are not here")


def pdf(
    *pages: str, page: str = "", root: str = "", info: Mapping[str, str] | None = None, objects: Sequence[str] = ()
) -> bytes:
    """Of content streams, with Helvetica as /F1 and its bold as /F2. page, root: more entries of every page and of the
    catalogue. objects: more of them, numbered from 10.
    """
    first = 10 + len(objects)
    kids = " ".join(f"{first + 2 * n} 0 R" for n in range(len(pages)))
    numbered = {
        1: f"<< /Type /Catalog /Pages 2 0 R {root} >>",
        2: f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        3: "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        4: "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold >>",
        5: "<< " + " ".join(f"/{key} ({value})" for key, value in (info or {}).items()) + " >>",
        **dict(enumerate(objects, 10)),
    }
    for n, content in enumerate(pages):
        numbered[first + 2 * n] = (
            "<< /Type /Page /Parent 2 0 R /Resources << /Font << /F1 3 0 R /F2 4 0 R >> >> "
            f"/Contents {first + 2 * n + 1} 0 R {page if 'MediaBox' in page else '/MediaBox [0 0 600 800] ' + page} >>"
        )
        numbered[first + 2 * n + 1] = f"<< /Length {len(content)} >>\nstream\n{content}\nendstream"
    out, places = b"%PDF-1.7\n", {}
    for number, body in sorted(numbered.items()):
        places[number] = len(out)
        out += f"{number} 0 obj\n{body}\nendobj\n".encode("latin-1")
    start = len(out)
    out += f"xref\n0 {max(numbered) + 1}\n0000000000 65535 f \n".encode()
    for number in range(1, max(numbered) + 1):
        out += (f"{places[number]:010} 00000 n \n" if number in places else "0000000000 00000 f \n").encode()
    return out + f"trailer << /Size {max(numbered) + 1} /Root 1 0 R /Info 5 0 R >>\nstartxref\n{start}\n%%EOF".encode()


def said(x: float, y: float, text: str, size: float = 10, font: str = "F1") -> str:
    """A text drawn with its first baseline's left end there, from the bottom left corner."""
    return f"BT /{font} {size} Tf {x} {y} Td ({text}) Tj ET\n"
