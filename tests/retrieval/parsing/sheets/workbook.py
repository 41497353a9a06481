"""Small workbooks by hand, and where the real ones are."""

import os
import zipfile
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path

SHARED = Path(os.environ.get("RAGPOD_SHARED") or Path(__file__).resolve().parents[4] / ".." / "shared")
DOCS = SHARED / "data" / "docs"

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
LINKS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def zipped(parts: Mapping[str, str | bytes]) -> bytes:
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return packed.getvalue()


def cell(at: str, value: str | float, style: int = 0) -> str:
    if isinstance(value, str):
        return f'<c r="{at}" t="inlineStr"><is><t>{value}</t></is></c>'
    return f'<c r="{at}" s="{style}"><v>{value}</v></c>'


def rows(*lines: Sequence[str | float], first: int = 1) -> str:
    """Lines of cells from column A on, "" for an empty one."""
    written = []
    for number, line in enumerate(lines, first):
        cells = "".join(cell(f"{chr(65 + i)}{number}", value) for i, value in enumerate(line) if value != "")
        written.append(f'<row r="{number}">{cells}</row>')
    return "".join(written)


def workbook(
    sheets: Mapping[str, str],
    formats: Sequence[str] = (),
    after: str = "",
    before: str = "",
    hidden: Sequence[str] = (),
    more: Mapping[str, str | bytes] | None = None,
) -> bytes:
    """sheets: name -> rows. formats: of styles 1 and up. before, after: what stands around the rows of each sheet."""
    states = {name: ' state="hidden"' if name in hidden else "" for name in sheets}
    listed = "".join(
        f'<sheet name="{name}" sheetId="{i}" r:id="rId{i}"{states[name]}/>' for i, name in enumerate(sheets, 1)
    )
    related = "".join(
        f'<Relationship Id="rId{i}" Type="{LINKS}/worksheet" Target="worksheets/sheet{i}.xml"/>'
        for i in range(1, len(sheets) + 1)
    )
    own = "".join(
        f'<numFmt numFmtId="{163 + i}" formatCode="{code.replace(chr(34), "&quot;")}"/>'
        for i, code in enumerate(formats, 1)
    )
    styles = "".join(f'<xf numFmtId="{163 + i}"/>' for i in range(1, len(formats) + 1))
    parts: dict[str, str | bytes] = {
        "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{LINKS}"><sheets>{listed}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f"<Relationships>{related}</Relationships>",
        "xl/styles.xml": f'<styleSheet xmlns="{MAIN}"><numFmts>{own}</numFmts>'
        f'<cellXfs><xf numFmtId="0"/>{styles}</cellXfs></styleSheet>',
    }
    for i, data in enumerate(sheets.values(), 1):
        body = f"{before}<sheetData>{data}</sheetData>{after}"
        parts[f"xl/worksheets/sheet{i}.xml"] = f'<worksheet xmlns="{MAIN}">{body}</worksheet>'
    return zipped(parts | dict(more or {}))
