"""The rows of sessions and bookmarks as people ask for them: lists, searches, branches; in the caller's transaction."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    BindParameter,
    Connection,
    RowMapping,
    and_,
    bindparam,
    exists,
    insert,
    or_,
    select,
    tuple_,
    update,
)

from server.records import talk
from server.records.errors import UnknownMessage
from server.records.tables import bookmarks, sessions, turns
from server.records.turn import answer_id

AT_ONCE = 500  # of a statement's parameters; SQLite takes 32,766
_OWNER: BindParameter[str] = bindparam("of_owner")
_S, _T, _B = sessions.c, turns.c, bookmarks.c
_MESSAGE = select(_T.turn, _T.user_id).where(_T.owner == _OWNER, _T.message_id == bindparam("message")).limit(1)
_TRACE = select(_T.trace_id, _T.session_id).where(_T.owner == _OWNER, _T.message_id == bindparam("message")).limit(1)
_RENAME = (
    update(sessions)
    .where(_S.owner == _OWNER, _S.id == bindparam("named"))
    .values(title=bindparam("now_title"), title_words=bindparam("now_words"))
)
_RUNNING = select(_T.trace_id).where(_T.owner == _OWNER, _T.held_by.is_not(None))


class Bodies(NamedTuple):
    """turns: as stored, by trace. ids: of answers, by trace."""

    turns: Mapping[str, bytes]
    ids: Mapping[str, str]


def sessions_of(
    db: Connection, owner: str, user_id: str, words: Sequence[str], limit: int, after: RowMapping | None
) -> Sequence[RowMapping]:
    """The newest first. words: folded."""
    query = select(sessions).where(_S.owner == owner)
    if user_id:
        query = query.where(_S.user_id == user_id)
    if after is not None:
        query = query.where(tuple_(_S.updated, _S.id) < tuple_(after["updated"], after["id"]))
    for word in words:
        said = exists().where(_T.owner == _S.owner, _T.session_id == _S.id, _T.words.contains(word, autoescape=True))
        query = query.where(or_(_S.title_words.contains(word, autoescape=True), said))
    return db.execute(query.order_by(_S.updated.desc(), _S.id.desc()).limit(limit)).mappings().all()


def rename(db: Connection, owner: str, session_id: str, title: str, words: str) -> None:
    db.execute(_RENAME, talk.named(owner, session_id) | {"now_title": title, "now_words": words})


def turn_of(db: Connection, owner: str, message_id: str, user_id: str) -> bytes:
    """Raises UnknownMessage, also of another user's."""
    row = db.execute(_MESSAGE, {"of_owner": owner, "message": answer_id(message_id)}).first()
    if row is None or talk.is_anothers(row.user_id, user_id):
        raise _unknown(message_id)
    turn: bytes = row.turn
    return turn


def index_of(db: Connection, owner: str, shown: Sequence[str], message_id: str) -> int:
    """Of the turn that a message is of, among those that are shown. Raises UnknownMessage."""
    row = db.execute(_TRACE, {"of_owner": owner, "message": answer_id(message_id)}).first()
    if row is None or row.trace_id not in shown:
        raise _unknown(message_id)
    return shown.index(row.trace_id)


def turns_of(
    db: Connection,
    owner: str,
    wanted: Sequence[str],
    tree: Sequence[tuple[str, str | None]],
    versions: Mapping[str | None, Sequence[str]],
) -> Bodies:
    """The wanted ones, and the ids of every version of them."""
    follows = dict(tree)
    beside = list({each for trace in wanted for each in versions[follows[trace]]})
    bodies, ids = dict[str, bytes](), dict[str, str]()
    for start in range(0, len(beside), AT_ONCE):
        of_them = and_(_T.owner == owner, _T.trace_id.in_(beside[start : start + AT_ONCE]))
        ids |= {row.trace_id: row.message_id for row in db.execute(select(_T.trace_id, _T.message_id).where(of_them))}
    for start in range(0, len(wanted), AT_ONCE):
        of_them = and_(_T.owner == owner, _T.trace_id.in_(wanted[start : start + AT_ONCE]))
        bodies |= {row.trace_id: row.turn for row in db.execute(select(_T.trace_id, _T.turn).where(of_them))}
    return Bodies(bodies, ids)


def show(db: Connection, owner: str, session_id: str, message_id: str, now: float) -> None:
    """Raises UnknownMessage, SessionBusy."""
    talk.refuse_busy(db, owner, session_id, now)
    row = db.execute(_TRACE, {"of_owner": owner, "message": answer_id(message_id)}).first()
    if row is None or row.session_id != session_id:
        raise _unknown(message_id)
    tree = talk.tree(db, owner, session_id)
    children = {follows: trace for trace, follows in tree if follows is not None}  # the last version of each
    head: str = row.trace_id
    while head in children:
        head = children[head]
    talk.set_head(db, owner, session_id, head)


def running(db: Connection, owner: str, session_id: str, user_id: str) -> Sequence[str]:
    query = _RUNNING.where(_T.session_id == session_id) if session_id else _RUNNING.where(_T.user_id == user_id)
    return db.scalars(query, {"of_owner": owner}).all()


def add_bookmark(db: Connection, row: Mapping[str, Any], given: Mapping[str, str]) -> RowMapping:
    """The row of that message and user as it is afterwards. given: what changes of one that is there."""
    same = (_B.owner == row["owner"], _B.user_id == row["user_id"], _B.message_id == row["message_id"])
    there = db.execute(select(_B.id).where(*same)).first()
    if there is None:
        db.execute(insert(bookmarks), row)
    else:
        change_bookmark(db, there.id, given)
    return db.execute(select(bookmarks).where(*same)).mappings().one()


def bookmark(db: Connection, owner: str, bookmark_id: str) -> RowMapping | None:
    return db.execute(select(bookmarks).where(_B.owner == owner, _B.id == bookmark_id)).mappings().first()


def bookmarks_of(
    db: Connection, owner: str, user_id: str, tag: str | None, after: RowMapping | None
) -> Iterator[RowMapping]:
    """The newest first."""
    query = select(bookmarks).where(_B.owner == owner)
    if user_id:
        query = query.where(_B.user_id == user_id)
    if tag is not None:
        query = query.where(_B.tag == tag)
    if after is not None:
        query = query.where(tuple_(_B.created, _B.id) < tuple_(after["created"], after["id"]))
    yield from db.execute(query.order_by(_B.created.desc(), _B.id.desc())).mappings()


def change_bookmark(db: Connection, bookmark_id: str, given: Mapping[str, str]) -> None:
    if given:
        db.execute(update(bookmarks).where(_B.id == bookmark_id).values(**given))


def _unknown(message_id: str) -> UnknownMessage:
    return UnknownMessage(f"no message {message_id[:128]!r}", "message_id")
