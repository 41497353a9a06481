"""Equations of Office (OMML, ECMA-376 part 1, 22.1) on one line: a/b, x^2, x_i, sqrt(x), sum_(i=1)^n."""

from typing import Any

from retrieval.parsing.base.safe import attribute, local

_PLAIN = frozenset(
    {"rPr", "ctrlPr", "fPr", "sSupPr", "sSubPr", "sSubSupPr", "radPr", "naryPr", "dPr", "funcPr", "mPr", "accPr"}
)


def linear(element: Any) -> str:
    """element: m:oMath, m:oMathPara or any part of one; at most 256 levels deep (retrieval.parsing.base.safe)."""
    name = local(element)
    if name == "t":
        return element.text or ""
    if name in _PLAIN:
        return ""
    if name == "f":
        return f"{_grouped(element, 'num')}/{_grouped(element, 'den')}"
    if name in ("sSup", "sSub", "sSubSup", "sPre"):
        below, above = _grouped(element, "sub"), _grouped(element, "sup")
        return _part(element, "e") + (f"_{below}" if below else "") + (f"^{above}" if above else "")
    if name == "rad":
        degree = _part(element, "deg")
        return f"{f'root{degree}' if degree else 'sqrt'}({_part(element, 'e')})"
    if name == "nary":
        sign = _property(element, "naryPr", "chr") or "∫"
        below, above = _grouped(element, "sub"), _grouped(element, "sup")
        return sign + (f"_{below}" if below else "") + (f"^{above}" if above else "") + f" {_part(element, 'e')}"
    if name == "d":
        begins, ends = (_property(element, "dPr", kind) for kind in ("begChr", "endChr"))
        parts = [linear(child) for child in element if local(child) == "e"]
        return f"{begins if begins is not None else '('}{', '.join(parts)}{ends if ends is not None else ')'}"
    if name == "func":
        return f"{_part(element, 'fName')} {_part(element, 'e')}"
    if name == "m":
        rows = [", ".join(linear(cell) for cell in row) for row in element if local(row) == "mr"]
        return f"[{'; '.join(rows)}]"
    return "".join(linear(child) for child in element)


def _part(element: Any, name: str) -> str:
    return "".join(linear(child) for child in element if local(child) == name)


def _grouped(element: Any, name: str) -> str:
    """In parentheses where it is more than one sign or number."""
    text = _part(element, name).strip()
    return text if len(text) < 2 or text.isalnum() else f"({text})"


def _property(element: Any, group: str, name: str) -> str | None:
    for properties in element:
        if local(properties) == group:
            for one in properties:
                if local(one) == name:
                    return attribute(one, "val")
    return None
