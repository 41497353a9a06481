import io
import zipfile
from collections.abc import Mapping
from dataclasses import replace

import pytest

from retrieval.parsing import Limits, ParseError, parse
from tests.shared import OK, needs_shared


def zipped(members: Mapping[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return made.getvalue()


def test_every_file_inside_is_a_document_with_its_path() -> None:
    inner = zipped({"deep/c.md": b"# C\n\nThird."})
    content = zipped({"a.txt": b"First.", "folder/b.csv": b"id,text\n1,Second.\n", "folder/inner.zip": inner})
    documents = parse(content, "all.zip")
    assert [(one.member, one.text, one.external_id) for one in documents] == [
        ("a.txt", "First.", ""),
        ("folder/b.csv", "Second.", "1"),
        ("folder/inner.zip/deep/c.md", "# C\n\nThird.", ""),
    ]


def test_what_cannot_be_read_is_a_warning_and_nothing_hidden_is_looked_at() -> None:
    content = zipped({"a.txt": b"First.", "b.png": b"\x89PNG\r\n\x1a\n", "__MACOSX/._a.txt": b"x", "c/.DS_Store": b"x"})
    (document,) = parse(content, "all.zip")
    assert document.warning.startswith("b.png: its content is a PNG image")
    assert "MACOSX" not in document.warning


def test_where_nothing_can_be_read_the_archive_fails() -> None:
    for members, code in [
        ({}, "empty_file"),
        ({"a.png": b"\x89PNG\r\n"}, "unsupported_file"),
        ({"a.txt": b""}, "empty_file"),
    ]:
        with pytest.raises(ParseError) as refused:
            parse(zipped(members), "all.zip")
        assert refused.value.code == code


def test_a_name_of_an_old_program_is_korean_again() -> None:
    """Their bytes are those of CP949, and no flag says so: zipfile takes them for CP437."""
    plain, korean = b"AAAAAA.txt", "가나다.txt".encode("cp949")
    content = zipped({plain.decode(): "안내문입니다.".encode()}).replace(plain, korean)
    assert [one.member for one in parse(content, "a.zip")] == ["가나다.txt"]
    assert [one.member for one in parse(zipped({"안내.txt": b"x"}), "a.zip")] == ["안내.txt"]


def test_a_name_that_leads_out_is_refused_and_the_rest_read() -> None:
    (document,) = parse(zipped({"../../etc/passwd.txt": b"text", "a.txt": b"inside"}), "a.zip")
    assert (document.member, document.text) == ("a.txt", "inside")
    assert "../../etc/passwd.txt: its name leads out" in document.warning


def test_archives_inside_archives_end_and_share_one_count() -> None:
    content = b"The end."
    name = "a.txt"
    for _ in range(8):
        content, name = zipped({name: content}), "inner.zip"
    with pytest.raises(ParseError, match="files deep"):
        parse(content, name)
    many = zipped({f"{n}.zip": zipped({f"{m}.txt": b"text" for m in range(10)}) for n in range(10)})
    assert len(parse(many, "many.zip")) == 100
    for limits in (replace(Limits(), entries=50), replace(Limits(), inflated=300), replace(Limits(), characters=100)):
        with pytest.raises(ParseError) as refused:
            parse(many, "many.zip", limits=limits)
        assert refused.value.code == "too_large"


def test_a_bomb_is_refused_while_it_unpacks() -> None:
    with pytest.raises(ParseError):
        parse(zipped({"a.txt": b"0" * 50_000_000}), "bomb.zip", limits=replace(Limits(), inflated=10_000_000))


@needs_shared
def test_a_real_archive() -> None:
    documents = parse((OK / "made_docx_csv.zip").read_bytes(), "made_docx_csv.zip")
    assert all(document.member for document in documents)
