import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.parsing import parse
from retrieval.parsing.web.markup import Tag, tokens
from retrieval.types import ParsedDocument

SHARED = Path(os.environ.get("RAGPOD_SHARED") or Path(__file__).resolve().parents[4] / ".." / "shared")
REAL = SHARED / "data" / "docs" / "ok"

PAGE = """<!DOCTYPE html><html><head><title>배송 안내 &amp; 환불</title><link rel="canonical" href="https://a.example/b">
<style>p { color: red }</style><script>var a = "<p>no</p>";</script></head>
<body><header><a href="/">쇼핑몰</a></header><nav><ul><li>메뉴</li></ul></nav>
<h1>배송</h1><p>이틀   걸립니다.<br>제주는 <b>사흘</b>입니다.</p>
<h2>요금</h2><table><tr><th>지역</th><th>요금</th></tr><tr><td><p>서울</p></td><td>3,000원</td></tr></table>
<ol><li>주문</li><li>결제</li></ol><ul><li>하나<ul><li>둘</li></ul></li></ul>
<pre>  x = 1
    y = 2</pre><aside>광고</aside><form><p>묻기</p><button>보내기</button></form>
<footer>저작권</footer></body></html>"""


def read(source: str) -> ParsedDocument:
    (document,) = parse(source.encode(), "page.html")
    return document


def test_a_page_reads_as_a_person_would_read_it() -> None:
    document = read(PAGE)
    assert document.title == "배송 안내 & 환불"
    assert document.url == "https://a.example/b"
    assert document.text == (
        "배송\n\n이틀 걸립니다.\n제주는 사흘입니다.\n\n요금\n\n지역 | 요금\n서울 | 3,000원\n\n1. 주문\n2. 결제\n\n"
        "- 하나\n\n  - 둘\n\n  x = 1\n    y = 2\n\n묻기"
    )


def test_headings_become_sections_at_their_offsets() -> None:
    document = read(PAGE)
    assert [(s.headings, document.text[s.start : s.start + 2]) for s in document.sections] == [
        (("배송",), "배송"),
        (("배송", "요금"), "요금"),
    ]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("<nav>menu</nav><main><header><h1>Title</h1></header>body text</main>", "Title\n\nbody text"),
        ("<div>menu menu</div><div role=main>the body</div>", "the body"),
        ("<main></main><p>all of the text", "all of the text"),
        ("<nav>only a menu", "only a menu"),
        ("<div style='display:none'>접힌 답변", "접힌 답변"),
        ("a<sup class=reference>[1]</sup> b", "a b"),
        ("<div class='sidebar left'>no</div>yes", "yes"),
        ("<p>one<p>two", "one\n\ntwo"),
        ("<b>bo</b>ld", "bold"),
        ("1 &lt; 2 &#54620;&nbsp;&copy;", "1 < 2 한 ©"),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
        ("a <!-- no --> b", "a b"),
        ("a <!-- no", "a"),
        ("<a title='it > that'>x</a>", "x"),
        ("<p title=it's>x</p>", "x"),
        ("x <a href='y", "x <a href='y"),
        ("<svg><title>no</title></svg>x", "x"),
        ("<table><tr><td>layout<ul><li>a</li></ul></td></tr></table>", "layout\n\n- a"),
        ("<table><tr><td></td><td>b</td></tr><tr><td></td></tr></table>x", "| b\n\nx"),
        ("<h1>제목<p>글", "제목\n\n글"),
        ("<dl><dt>질문</dt><dd>답변</dd></dl>", "질문\n답변"),
        ("<select><option>no</select>x<textarea><p>no</textarea>", "x"),
        ("<br/><IMG src=x><DIV>up</DIV>", "up"),
    ],
)
def test_markup_large_and_small(source: str, expected: str) -> None:
    assert read(source).text.strip() == expected


_HOSTILE = {
    "deep": "<div>" * 100_000 + "x",
    "closed": "<div>" * 50_000 + "x" + "</div>" * 50_000,
    "tables": "<table><tr><td>x" * 20_000,
    "lists": "<ul><li>x" * 20_000,
    "cells": "<table><tr>" + "<td>" * 100_000 + "x",
    "unclosed tags": "x" + "<a " * 100_000,
    "unclosed quotes": "x" + '<a b="' * 100_000,
    "mixed quotes": "x<a b='\"" * 50_000 + ">",
    "attributes": "<a " + "b=c " * 100_000 + ">x",
    "long attribute": '<a href="' + "y" * 2_000_000 + '">x',
    "spaces": "<a " + " " * 500_000 + ">x",
    "comments": "x" + "<!--" * 100_000,
    "declarations": "x" + "<!" * 100_000,
    "brackets": "x" + "<" * 100_000,
    "misnested": "x" + "<b></i>" * 50_000,
    "scripts": "x" + "<script>" * 50_000,
    "titles": "x" + "<title>" * 50_000,
    "entities": "&" * 100_000 + "&#" * 100_000,
    "headings": "<h1>x" * 30_000,
}


@pytest.mark.parametrize("source", _HOSTILE.values(), ids=_HOSTILE.keys())
def test_hostile_pages_are_read_in_one_pass(source: str) -> None:
    assert read(source).text


@settings(deadline=None)
@given(st.text(st.sampled_from("<>/!-=\"' abp한&;\n"), max_size=80))
def test_tokens_of_any_source_end_and_lose_no_plain_text(source: str) -> None:
    for token in tokens(source):
        assert isinstance(token, Tag) or token
    if "<" not in source:
        assert "".join(token for token in tokens(source) if isinstance(token, str)) == source


_TAGS = "<p> </p> <h1> </h1> <table> <tr> <td> </table> <li> <ol> </ol> <nav> </nav> <pre> </pre> <main> </main> <br>"


@settings(deadline=None)
@given(st.lists(st.sampled_from([*_TAGS.split(), "글", " "]), max_size=40))
def test_sections_point_at_their_headings_whatever_the_nesting(pieces: list[str]) -> None:
    document = read("시작" + "".join(pieces))
    for section in document.sections:
        assert document.text.startswith(section.headings[-1], section.start)


@pytest.mark.skipif(not REAL.is_dir(), reason="the shared documents are not here")
@pytest.mark.parametrize(
    ("filename", "phrase", "absent"),
    [
        ("debian_choosing.ko.html", "관리자 관점에서 더 주의가 필요한 배포는 무엇인가요", "navheader"),
        (
            "markitdown_wikipedia.html",
            "Microsoft entered the operating system (OS) business in 1980",
            "Bahasa Indonesia",
        ),
        ("debian-faq.ko.txt", "Debian은 어떻게 발음하며", "\r"),
        ("kure_README_ko.md", "KURE는 고려대학교", "\r"),
    ],
)
def test_real_files_give_their_text(filename: str, phrase: str, absent: str) -> None:
    (document,) = parse((REAL / filename).read_bytes(), filename)
    assert phrase in " ".join(document.text.split())
    assert absent not in document.text
