from email.message import EmailMessage

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.parsing import ParseError, parse
from tests.shared import OK, needs_shared


def mail(**changed: str) -> EmailMessage:
    message = EmailMessage()
    headers = {"From": "김철수 <kim@example.com>", "To": "lee@example.com", "Subject": "회의 안내"} | changed
    for name, value in headers.items():
        message[name] = value
    message["Date"] = "Fri, 27 Nov 2026 10:00:00 +0900"
    return message


def test_a_mail_has_its_headers_its_text_and_its_attachments() -> None:
    message = mail()
    message.set_content("회의는 오후 세 시입니다.\n")
    message.add_attachment("이름,값\n속도,3\n".encode(), maintype="text", subtype="csv", filename="실적.csv")
    inner = mail(Subject="안쪽")
    inner.set_content("안쪽 글입니다.")
    message.add_attachment(inner)
    message.add_attachment(b"\x89PNG\r\n", maintype="image", subtype="png", filename="logo.png")
    first, *rest = parse(message.as_bytes(), "mail.eml")
    assert (first.title, first.member) == ("회의 안내", "")
    assert first.text.startswith("From: 김철수 <kim@example.com>\nTo: lee@example.com\nDate: 2026-11-27T10:00:00+09:00")
    assert first.text.endswith("회의는 오후 세 시입니다.")
    assert first.attributes["from"] == "김철수 <kim@example.com>"
    assert [one.member for one in rest] == ["실적.csv", "mail 2.eml"]
    assert "안쪽 글입니다." in rest[1].text
    assert "logo.png" in first.warning


def test_html_is_read_as_a_reader_sees_it() -> None:
    message = mail()
    message.set_content("<h1>공지</h1><p>내일은 <b>쉽니다</b>.</p><script>x()</script>", subtype="html")
    (document,) = parse(message.as_bytes(), "mail.eml")
    assert document.text.endswith("공지\n\n내일은 쉽니다.")
    heading = next(block for block in document.blocks if block.kind == "heading")
    assert document.text[heading.start : heading.end] == "공지"


def test_a_mail_that_is_nothing_but_a_file_has_it() -> None:
    letter = (
        b"From: a@b.example\r\nSubject: table\r\nMIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\n"
        b"Content-Disposition: attachment; filename=a.md\r\nContent-Transfer-Encoding: base64\r\n\r\nIyBJbnNpZGU="
    )
    assert [(each.member, each.text) for each in parse(letter, "a.eml")][1:] == [("a.md", "# Inside")]


def test_text_without_any_header_is_no_mail() -> None:
    with pytest.raises(ParseError, match="no mail"):
        parse(b"just some text\n\nand more", "a.eml")


@settings(max_examples=150, deadline=None)
@given(
    st.binary(max_size=400),
    st.sampled_from(["", "multipart/mixed; boundary=b", "text/html; charset=x", "message/rfc822"]),
)
def test_any_mail_is_read_or_refused(body: bytes, kind: str) -> None:
    content = b"From: a@b.c\nSubject: =?euc-kr?B?yLjAxw==?=\nContent-Type: " + kind.encode() + b"\n\n--b\n" + body
    try:
        assert parse(content, "a.eml")[0].title == "회의"
    except ParseError:
        return  # the one way to fail


@needs_shared
def test_a_korean_mail_of_an_old_program() -> None:
    first, attached = parse((OK / "made_euckr_attachment.eml").read_bytes(), "made_euckr_attachment.eml")
    assert "회의" in first.title
    assert attached.member.endswith("실적.xlsx")
