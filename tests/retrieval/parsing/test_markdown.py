import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.parsing import parse
from retrieval.types import ParsedDocument


def read(source: str) -> ParsedDocument:
    (document,) = parse(source.encode(), "guide.md")
    return document


def test_headings_become_paths_at_exact_offsets() -> None:
    document = read("머리말\n\n# 안내\n글\n\n## 환불\n글\n\n결제\n---\n글\n\n# 끝\n")
    found = [(document.text[s.start :].split("\n")[0], s.headings) for s in document.sections]
    assert found == [
        ("# 안내", ("안내",)),
        ("## 환불", ("안내", "환불")),
        ("결제", ("안내", "결제")),
        ("# 끝", ("끝",)),
    ]


def test_the_text_is_kept_as_it_was_written() -> None:
    source = "# A\n\n| a | b |\n|---|---|\n\n```python\n# no heading\nx = 1\n```\n- item\n"
    document = read(source)
    assert document.text == source
    assert [section.headings for section in document.sections] == [("A",)]


@pytest.mark.parametrize(
    "source",
    [
        "```\n# no\n```",
        "~~~~\n# no\n~~~\n# no\n~~~~",
        "    # no",
        "<!--\n# no\n-->",
        "> # no",
        "- # no",
        "####### no",
        "#no",
    ],
)
def test_what_only_looks_like_a_heading_is_none(source: str) -> None:
    assert read(source).sections == ()


def test_the_title_comes_from_the_front_matter_and_is_not_text() -> None:
    document = read('---\ntitle: "배송 안내"\nurl: https://example.com/a\ntags: [a]\n---\n# 첫 제목\n글')
    assert document.title == "배송 안내"
    assert document.url == "https://example.com/a"
    assert document.text == "# 첫 제목\n글"
    assert document.sections[0].start == 0


@pytest.mark.parametrize(
    ("source", "title"), [("글\n# **첫** `제목` [링크](u)\n", "첫 제목 링크"), ("글뿐", "guide"), ("---\n글", "guide")]
)
def test_without_a_front_matter_title_the_first_heading_or_the_name_is_it(source: str, title: str) -> None:
    assert read(source).title == title


@pytest.mark.parametrize(
    "source",
    [
        "> " * 20_000 + "x",
        "- " * 20_000 + "x",
        "[" * 100_000,
        "```\n" * 50_000,
        "# a\n" * 30_000,
        "x\n" * 60_000,
        "---\n" * 40_000,
        "\n".join("  " * i + "- x" for i in range(400)),
        "[a]: <" * 30_000,
        "---\ntitle: " + " " * 100_000 + "\n" * 1_000,
    ],
    ids=range(10),
)
def test_hostile_markdown_is_read_whole(source: str) -> None:
    assert len(read(source).text) >= len(source) - 20


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from(["# a", "## b", "```", "> # q", "", "text", "===", "---", "- x", "\t", "    # c"]), max_size=30
    )
)
def test_every_section_starts_a_line_and_ends_its_path_with_its_name(lines: list[str]) -> None:
    source = "시작\n\n" + "\n".join(lines)
    document = read(source)
    assert document.text == source
    for section in document.sections:
        assert document.text[section.start - 1] == "\n"
        if section.headings:
            assert " ".join(document.text[section.start :].split()).startswith(("#", section.headings[-1]))
