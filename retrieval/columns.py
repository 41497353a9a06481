"""What the columns of a file of rows mean, by their names in both languages or as the file's owner says; pure.

A question, its answer, texts and keywords become a document's text; a title, an id and a URL its own; a category and a
date of change its attributes `category` and `updated_at`.
"""

import difflib
from collections.abc import Collection, Iterable, Mapping

from retrieval.characters import same, visible
from retrieval.dates import UPDATED_AT

CATEGORY, UPDATED = "category", "updated"
_UPDATED = (UPDATED_AT, "updated", "last updated", "last_updated", "last modified", "last_modified")
_UPDATED_KO = ("수정일", "수정일시", "수정일자", "최종수정일", "최종 수정일", "갱신일", "업데이트일")
_NAMES = {
    "id": ("_id", "id", "external_id", "faq_id"),
    "title": ("title", "제목", "subject"),
    "question": ("question", "questions", "질문", "질문내용", "질문 내용", "문의", "문의내용", "문의 내용"),
    "text": ("text", "content", "contents", "body", "내용", "본문", "passage"),
    "answer": ("answer", "answers", "답변", "답변내용", "답변 내용", "답", "응답", "response"),
    "keywords": ("keyword", "keywords", "키워드", "검색어", "연관검색어", "tags", "태그"),
    CATEGORY: (CATEGORY,),  # under another name of its own it is an attribute of that name
    "url": ("url", "link", "링크", "주소 링크", "source_url"),
    UPDATED: (*_UPDATED, *_UPDATED_KO),
}
ROLES = tuple(_NAMES)
_ROLE = {name: role for role, names in _NAMES.items() for name in names}
Columns = Mapping[str, str]  # a column's plain name -> its role; an owner's own


def plain(column: str) -> str:
    """The name as names compare: letter case, width of spaces and what nobody sees apart."""
    return " ".join(same(visible(same(column))).split()).casefold()


def role(column: str, own: Columns) -> str | None:
    """own: goes before the names that are known everywhere."""
    name = plain(column)
    return own.get(name) or _ROLE.get(name)


def roles(columns: Iterable[str], own: Columns) -> dict[str, str]:
    """Column -> role, for those that have one. A role that an own name has taken leaves nothing to the usual names."""
    found = {column: known for column in columns if (known := role(column, own))}
    if not own:
        return found
    taken = {known for column, known in found.items() if plain(column) in own}
    return {column: known for column, known in found.items() if known not in taken or plain(column) in own}


def own_columns(given: Mapping[str, Collection[str]]) -> dict[str, str]:
    """given: role -> names. Raises ValueError: an unknown role, a blank name, a name with two roles."""
    own: dict[str, str] = {}
    for wanted, names in given.items():
        if wanted not in ROLES:
            near = difflib.get_close_matches(wanted, ROLES, n=1)
            raise ValueError(f"{wanted!r} is no role of a column ({', '.join(ROLES)}){_perhaps(near)}")
        for name in names:
            if not plain(name):
                raise ValueError(f"a name for {wanted!r} is blank")
            if (before := own.setdefault(plain(name), wanted)) != wanted:
                raise ValueError(f"{name!r} cannot be both {before!r} and {wanted!r}")
    return own


def _perhaps(near: list[str]) -> str:
    return f"; did you mean {near[0]}?" if near else ""
