"""What files are called that come from a URL."""

from datetime import datetime
from pathlib import PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from retrieval.characters import same
from server.cli.sources.naming import fitting, http_of_iso, iso_of_http, media_type, names, printable

HTML, PDF = "text/html", "application/pdf"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://example.com", "example.com/index"),
        ("https://docs.rs/", "docs.rs/index"),
        ("http://example.com:8080/a/b.pdf", "example.com:8080/a/b.pdf"),
        ("https://example.com/%EA%B0%80%20b.html?q=%ED%95%9C", "example.com/가 b.html?q=한"),
        ("https://example.com/a%00b%0Ac", "example.com/a%00b%0Ac"),
        ("https://xn--9t4b11yi5a.com/a", "테스트.com/a"),
    ],
)
def test_a_url_is_a_name(url: str, name: str) -> None:
    assert names([URL(url)]) == [name]


def test_urls_that_look_the_same_have_names_of_their_own_in_any_order() -> None:
    urls = [URL("http://example.com/a"), URL("https://example.com/a"), URL("https://example.com/b")]
    found = names(urls)
    assert found[2] == "example.com/b"
    assert found[0] != found[1]
    assert names(urls[::-1]) == found[::-1]


SEGMENT = st.text(st.sampled_from("ab.?=&#% \x00\n가각\u1100\u1161/é\u0301~"), max_size=6)


@given(st.lists(st.tuples(st.sampled_from(["http", "https"]), SEGMENT, SEGMENT), max_size=6))
def test_no_two_urls_have_one_name(parts: list[tuple[str, str, str]]) -> None:
    built = [URL.build(scheme=s, host="h.example", path=f"/{p}", query=q) for s, p, q in parts]
    urls = list(dict.fromkeys(built))
    found = names(urls)
    assert len({same(name) for name in found}) == len(urls)
    assert all(character.isprintable() or character == " " for character in "".join(found).replace("\u1100", ""))


@pytest.mark.parametrize(
    ("name", "kind", "disposition", "fitted"),
    [
        ("h/a", HTML, "", "h/a"),
        ("h/a.php", HTML, "", "h/a.php.html"),
        ("h/README.md", "text/plain", "", "h/README.md"),
        ("h/README.md", HTML, "", "h/README.md.html"),
        ("h/a.aspx", HTML, "", "h/a.aspx"),
        ("h/a.htm", HTML, "", "h/a.htm"),
        ("h/a.csv", "application/octet-stream", "", "h/a.csv"),
        ("h/get?id=1", PDF, 'attachment; filename="a b.pdf"', "h/get?id=1/a b.pdf"),
        ("h/get?id=1", PDF, r'attachment; filename="..\..\x.pdf"', "h/get?id=1/x.pdf"),
        ("h/get?id=1", PDF, 'attachment; filename="/etc/.."', "h/get?id=1"),
        ("h/a.pdf", PDF, "inline; filename=a.pdf", "h/a.pdf"),
        ("h/a", PDF, "attachment; filename*=iso-8859-1''%E9.pdf", "h/a/é.pdf"),
        ("h/a", PDF, "attachment; filename*=x''%ff%00.pdf; garbage", "h/a/\ufffd%00.pdf"),
        ("h/a", PDF, "garbage", "h/a"),
    ],
)
def test_an_answer_says_what_a_file_is(name: str, kind: str, disposition: str, fitted: str) -> None:
    assert fitting(name, kind, disposition) == fitted


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ("Text/HTML; charset=x", "text/html"),
        ("text", ""),
        ("a/b\ud800", ""),
        ("", ""),
        ("a/" + "b" * 500, ""),
        ("a/b\n", "a/b"),
    ],
)
def test_a_media_type_is_one_or_none(header: str, kind: str) -> None:
    assert media_type(header) == kind


@given(st.text(max_size=60))
def test_no_header_makes_a_name_that_is_refused(disposition: str) -> None:
    name = fitting("h/a", PDF, disposition)
    assert printable(name) == name
    assert PurePath(name).parts[:2] == ("h", "a")
    assert len(name) <= 512


@given(st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1)).map(lambda d: d.replace(microsecond=0)))
def test_a_date_comes_back_as_it_was_sent(moment: datetime) -> None:
    sent = http_of_iso(f"{moment.isoformat()}Z")
    assert http_of_iso(iso_of_http(sent)) == sent


@pytest.mark.parametrize("date", ["", "yesterday", "Sat, 99 Nov 2026 10:00:00 GMT", "0", "9" * 400])
def test_what_is_no_date_is_none(date: str) -> None:
    assert iso_of_http(date) == http_of_iso(date) == ""
