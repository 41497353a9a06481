"""Office files written by hand, one feature after another."""

import io
import zipfile
from collections.abc import Mapping

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
M = "http://schemas.openxmlformats.org/officeDocument/2006/math"
A = "http://schemas.openxmlformats.org/drawingml/2006/main"
P = "http://schemas.openxmlformats.org/presentationml/2006/main"
R = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
C = "http://schemas.openxmlformats.org/drawingml/2006/chart"
RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
NAMES = f'xmlns:w="{W}" xmlns:m="{M}" xmlns:a="{A}" xmlns:p="{P}" xmlns:r="{R}" xmlns:c="{C}"'


def zipped(members: Mapping[str, str | bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return made.getvalue()


def relations(**targets: str) -> str:
    """id -> "kind target"."""
    listed = ""
    for number, told in targets.items():
        kind, target = told.split(" ", 1)
        listed += f'<Relationship Id="{number}" Type="{R}/{kind}" Target="{target}"/>'
    return f'<Relationships xmlns="{RELATIONS}">{listed}</Relationships>'


def docx(body: str, **parts: str) -> bytes:
    """parts: kind -> what stands in its root, as in comments="<w:comment …>"."""
    kinds = {kind: f"{kind} {kind}.xml" for kind in parts}
    members: dict[str, str | bytes] = {
        "word/document.xml": f"<w:document {NAMES}><w:body>{body}</w:body></w:document>",
        "word/_rels/document.xml.rels": relations(**kinds),
    }
    members |= {f"word/{kind}.xml": f"<w:{kind} {NAMES}>{inner}</w:{kind}>" for kind, inner in parts.items()}
    return zipped(members)


def paragraph(text: str, properties: str = "") -> str:
    return f"<w:p><w:pPr>{properties}</w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>"


def table(*rows: str, properties: str = "") -> str:
    return f"<w:tbl><w:tblPr>{properties}</w:tblPr>{''.join(f'<w:tr>{row}</w:tr>' for row in rows)}</w:tbl>"


def cell(text: str, properties: str = "") -> str:
    return f"<w:tc><w:tcPr>{properties}</w:tcPr>{paragraph(text)}</w:tc>"


def pptx(*slides: str, **parts: str) -> bytes:
    """parts: path -> content, of what the slides refer to."""
    ids = "".join(f'<p:sldId id="{300 + n}" r:id="s{n}"/>' for n in range(len(slides)))
    members: dict[str, str | bytes] = {
        "ppt/presentation.xml": f"<p:presentation {NAMES}><p:sldIdLst>{ids}</p:sldIdLst></p:presentation>",
        "ppt/_rels/presentation.xml.rels": relations(
            **{f"s{n}": f"slide slides/slide{n}.xml" for n in range(len(slides))}
        ),
    }
    for number, shapes in enumerate(slides):
        tree = f"<p:cSld><p:spTree>{shapes}</p:spTree></p:cSld>"
        members[f"ppt/slides/slide{number}.xml"] = f"<p:sld {NAMES}>{tree}</p:sld>"
    return zipped(members | parts)


def line(text: str) -> str:
    return f"<a:p><a:r><a:t>{text}</a:t></a:r></a:p>"


def shape(text: str, kind: str | None = None, at: tuple[int, int] | None = None) -> str:
    holder = "" if kind is None else f'<p:ph type="{kind}"/>'
    place = "" if at is None else f'<a:xfrm><a:off x="{at[0]}" y="{at[1]}"/></a:xfrm>'
    lines = "".join(line(one) for one in text.split("|"))
    return (
        f"<p:sp><p:nvSpPr><p:nvPr>{holder}</p:nvPr></p:nvSpPr><p:spPr>{place}</p:spPr>"
        f"<p:txBody>{lines}</p:txBody></p:sp>"
    )
