import zipfile
from io import BytesIO

import pytest

from retrieval.parsing.base.errors import ParseError
from retrieval.parsing.base.limits import Limits
from retrieval.parsing.base.safe import Archive, attribute, elements, root


def packed(parts: dict[str, bytes]) -> bytes:
    found = BytesIO()
    with zipfile.ZipFile(found, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return found.getvalue()


def refusal(content: bytes, limits: Limits, name: str = "a") -> str:
    with pytest.raises(ParseError) as raised:
        Archive(content, limits).read(name)
    return raised.value.code


def test_members_are_read_by_name_whatever_their_case_and_slashes() -> None:
    archive = Archive(packed({"a\\B.xml": b"x", "../up": b"y"}), Limits())
    assert archive.read("A/b.xml") == b"x"
    assert archive.names == ("a/B.xml", "../up")


def test_entries_bytes_and_ratio_are_limited() -> None:
    assert refusal(packed({"a": b"", "b": b""}), Limits(entries=1)) == "too_large"
    assert refusal(packed({"a": b"x" * 1000}), Limits(inflated=999)) == "too_large"
    assert refusal(packed({"a": bytes(20_000_000)}), Limits()) == "too_large"


def test_damage_and_passwords_have_their_codes() -> None:
    content = packed({"a": b"x" * 1000})
    assert refusal(content, Limits(), "b") == "invalid_file"
    assert refusal(content[:40], Limits()) == "invalid_file"
    at = content.index(b"PK\x01\x02")
    locked = content[: at + 8] + b"\x01" + content[at + 9 :]
    assert refusal(locked, Limits()) == "encrypted_file"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-be", "utf-7"])
def test_a_dtd_is_refused_in_every_encoding(encoding: str) -> None:
    text = f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'
    for parse in (root, lambda content: list(elements(content, "a"))):
        with pytest.raises(ParseError):
            parse(text.encode(encoding))


def test_elements_come_one_by_one_and_deep_ones_are_refused() -> None:
    xml = b'<a xmlns:n="u"><b n:k="1">x</b><b n:k="2">y</b></a>'
    assert [(each.text, attribute(each, "k")) for each in elements(xml, "b")] == [("x", "1"), ("y", "2")]
    with pytest.raises(ParseError):
        root(b"<a>" * 10_000 + b"</a>" * 10_000)
