"""The rows of sessions: in the caller's transaction, and for both databases the same.

A session's turns are a tree: each says which one it follows (`after_id`), and the session which one it ends with
(`head`). Asking anew, or with other words, begins a branch beside the earlier one, which stays.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import BindParameter, Connection, Integer, bindparam, delete, insert, literal, select, update

from retrieval.characters import folded, one_line, shortened
from server.records.errors import SessionBusy, UnknownMessage, UnknownSession
from server.records.tables import responses, sessions, turns
from server.records.turn import Turn, answer_id, read_turn

TITLE, EXCERPT = 60, 200  # characters
_OURS = re.compile(r"session_[0-9a-f]{32}")

_OWNER: BindParameter[str] = bindparam("of_owner")
_MINE = (sessions.c.owner == _OWNER, sessions.c.id == bindparam("named"))
_OF_IT = (turns.c.owner == _OWNER, turns.c.session_id == bindparam("named"))
SELECT = select(sessions).where(*_MINE)
_LOCKED = SELECT.with_for_update()
_RUNNING = (
    select(turns.c.trace_id)
    .where(*_OF_IT, turns.c.held_by.is_not(None), turns.c.held_until >= bindparam("now"))
    .limit(1)
)
_LAST = (
    select(turns.c.trace_id, turns.c.depth, turns.c.user_id)
    .where(*_OF_IT)
    .order_by(turns.c.created.desc(), turns.c.trace_id.desc())
    .limit(1)
)
_REPLACED = select(turns.c.trace_id, turns.c.after_id, turns.c.depth).where(
    *_OF_IT, turns.c.message_id == bindparam("message")
)
_INSERT = insert(sessions)
_CHANGING = ("head", "turns", "updated", "last_message", "title", "title_words", "user_id")
_BEGUN = update(sessions).where(*_MINE).values({name: bindparam(f"now_{name}") for name in _CHANGING})
_ENDED = (
    update(sessions)
    .where(*_MINE, sessions.c.head == bindparam("trace"))
    .values(updated=bindparam("now_updated"), last_message=bindparam("now_last_message"))
)
_TREE = (
    select(turns.c.trace_id, turns.c.after_id, turns.c.created).where(*_OF_IT).order_by(turns.c.depth, turns.c.created)
)
_TURN = select(turns.c.turn).where(turns.c.owner == _OWNER, turns.c.trace_id == bindparam("trace"))
_DEPTH = update(turns).where(turns.c.trace_id == bindparam("trace")).values(
    after_id=bindparam("now_after"), depth=bindparam("now_depth")
)  # fmt: skip
_HEAD = update(sessions).where(*_MINE).values(head=bindparam("now_head"), turns=bindparam("now_turns"))
_OF_TURNS = responses.c.trace_id.in_(select(turns.c.trace_id).where(*_OF_IT).scalar_subquery())
_DELETES = (
    delete(responses).where(responses.c.owner == _OWNER, _OF_TURNS),
    delete(turns).where(*_OF_IT),
    delete(sessions).where(*_MINE),
)


def named(owner: str, session_id: str) -> dict[str, Any]:
    return {"of_owner": owner, "named": session_id}


def unknown(session_id: str) -> UnknownSession:
    return UnknownSession(f"no session {session_id[:128]!r}", "session_id")


def place(db: Connection, turn: Turn, replaces: str | None, now: float) -> tuple[str | None, int, str]:
    """Where a question of a session stands: the trace that it follows, its depth, its user.

    The session's row is locked until the transaction ends, and made where a caller's own id names a new one.
    replaces: the message whose question, or answer, this one takes the place of. Raises UnknownSession, also of another
    user's, UnknownMessage, SessionBusy.
    """
    mine = named(turn.owner, turn.session_id)
    locked = db.execute(_LOCKED, mine).mappings().first()
    found: Mapping[str, Any] = dict(locked) if locked is not None else _made(db, turn)
    if is_anothers(found["user_id"], turn.user_id):
        raise unknown(turn.session_id)
    refuse_busy(db, turn.owner, turn.session_id, now)
    user = turn.user_id or found["user_id"]
    if replaces is None:
        return found["head"], found["turns"] + 1, user
    earlier = db.execute(_REPLACED, mine | {"message": answer_id(replaces)}).first()
    if earlier is None:
        raise UnknownMessage(f"no message {replaces[:128]!r} in this session", "replaces")
    return earlier.after_id, earlier.depth, user


def is_anothers(kept: str, asking: str) -> bool:
    """What nobody was named for is everybody's who knows its id; who names nobody asks for the whole owner."""
    return bool(kept and asking and kept != asking)


def refuse_busy(db: Connection, owner: str, session_id: str, now: float) -> None:
    """Raises SessionBusy. Two answers at once would follow the same turn."""
    if db.execute(_RUNNING, named(owner, session_id) | {"now": now}).first():
        raise SessionBusy("an answer of this session still runs: wait for its end, or stop it", "session_id")


def _made(db: Connection, turn: Turn) -> dict[str, Any]:
    """Also of turns that were kept under the id before there were sessions. An id of our own form names none that was
    never made, or was deleted.
    """
    last = db.execute(_LAST, named(turn.owner, turn.session_id)).first()
    if last is None and _OURS.fullmatch(turn.session_id):
        raise unknown(turn.session_id)
    session = new(turn.owner, turn.session_id, turn.user_id, "", turn.created)
    if last is not None:
        session |= {"head": last.trace_id, "turns": last.depth, "user_id": turn.user_id or last.user_id}
    db.execute(_INSERT, session)
    return session


def new(owner: str, session_id: str, user_id: str, title: str, created: float) -> dict[str, Any]:
    return {
        "owner": owner,
        "id": session_id,
        "user_id": user_id,
        "title": title,
        "title_words": folded(title),
        "created": created,
        "updated": created,
        "head": None,
        "turns": 0,
        "last_message": "",
    }


def insert_new(db: Connection, session: dict[str, Any]) -> None:
    db.execute(_INSERT, session)


def begun(db: Connection, turn: Turn) -> None:
    """The session ends with this turn now; one that has no title gets that of its first question, one that is nobody's
    is its user's.
    """
    found = db.execute(SELECT, named(turn.owner, turn.session_id)).mappings().one()
    title = found["title"] or title_of(turn)
    values = {
        "now_head": turn.trace_id,
        "now_turns": turn.depth,
        "now_updated": turn.created,
        "now_last_message": excerpt(turn.question),
        "now_title": title,
        "now_title_words": folded(title),
        "now_user_id": turn.user_id,
    }
    db.execute(_BEGUN, named(turn.owner, turn.session_id) | values)


def ended(db: Connection, turn: Turn, now: float) -> None:
    told = {"trace": turn.trace_id, "now_updated": now, "now_last_message": excerpt(turn.answer or turn.question)}
    db.execute(_ENDED, named(turn.owner, turn.session_id) | told)


def title_of(turn: Turn) -> str:
    """Of a session that begins with it, where nobody has named it."""
    return shortened(one_line(turn.question), TITLE)


def excerpt(text: str) -> str:
    return shortened(one_line(text), EXCERPT)


def branch(db: Connection, owner: str, last: str | None, most: int) -> Sequence[bytes]:
    """The stored turns that lead to `last`, itself among them, the oldest first; the `most` last ones."""
    if last is None or most == 0:
        return ()
    rows = db.execute(_BRANCH, {"of_owner": owner, "trace": last, "most": most}).all()
    return [row.turn for row in rows]


def _branch() -> Any:
    start = select(turns.c.trace_id, turns.c.after_id, literal(1, Integer).label("back")).where(
        turns.c.trace_id == bindparam("trace"), turns.c.owner == _OWNER
    )
    chain = start.cte("branch", recursive=True)
    earlier = turns.alias("earlier")
    before = (
        select(earlier.c.trace_id, earlier.c.after_id, chain.c.back + 1)
        .join(chain, earlier.c.trace_id == chain.c.after_id)
        .where(earlier.c.owner == _OWNER, chain.c.back < bindparam("most", type_=Integer))
    )
    whole = chain.union_all(before)
    return select(turns.c.turn).join(whole, turns.c.trace_id == whole.c.trace_id).order_by(whole.c.back.desc())


_BRANCH = _branch()


def tree(db: Connection, owner: str, session_id: str) -> list[tuple[str, str | None]]:
    """Every turn of a session with the one that it follows: that one stands before it, the versions of one in order."""
    return [(row.trace_id, row.after_id) for row in db.execute(_TREE, named(owner, session_id))]


def path(tree: Sequence[tuple[str, str | None]], head: str | None) -> list[str]:
    """The branch that ends with `head`, the oldest first."""
    follows, found = dict(tree), list[str]()
    while head is not None and head in follows and len(found) < len(tree):
        found.append(head)
        head = follows[head]
    return found[::-1]


def relink(db: Connection, owner: str, gone: str) -> None:
    """A turn leaves its session: those that followed it follow the one before it, and what the session says of itself
    comes from those that are left. With the last one the session goes.
    """
    leaving = db.scalar(_TURN, {"of_owner": owner, "trace": gone})
    if leaving is None:
        return
    turn = read_turn(leaving)
    mine = named(owner, turn.session_id)
    session = db.execute(_LOCKED, mine).mappings().first()
    if session is None:
        return
    before = tree(db, owner, turn.session_id)
    after = dict(before).get(gone)
    left = [(trace, after if follows == gone else follows) for trace, follows in before if trace != gone]
    if not left:
        db.execute(_DELETES[-1], mine)
        return
    depth: dict[str | None, int] = {None: 0}
    for trace, follows in left:  # each stands after the one that it follows
        depth[trace] = depth.get(follows, 0) + 1
    db.execute(_DEPTH, [{"trace": trace, "now_after": follows, "now_depth": depth[trace]} for trace, follows in left])
    head = session["head"] if session["head"] != gone else (after or left[-1][0])
    _say_anew(db, dict(session), turn, head, depth.get(head, 0), path(left, head) or [left[0][0]])


def _say_anew(
    db: Connection, session: Mapping[str, Any], gone: Turn, head: str, turns_shown: int, shown: Sequence[str]
) -> None:
    first, last = (read_turn(db.scalar(_TURN, {"of_owner": gone.owner, "trace": shown[at]}) or b"") for at in (0, -1))
    title = title_of(first) if session["title"] == title_of(gone) else session["title"]
    values = {
        "now_head": head,
        "now_turns": turns_shown,
        "now_updated": session["updated"],
        "now_last_message": excerpt(last.answer or last.question),
        "now_title": title,
        "now_title_words": folded(title),
        "now_user_id": session["user_id"],
    }
    db.execute(_BEGUN, named(gone.owner, gone.session_id) | values)


def set_head(db: Connection, owner: str, session_id: str, head: str) -> None:
    depth = db.scalar(select(turns.c.depth).where(turns.c.trace_id == head))
    db.execute(_HEAD, named(owner, session_id) | {"now_head": head, "now_turns": depth})


def remove(db: Connection, owner: str, session_id: str) -> int:
    """With its turns, and the responses that were made by them. How many rows went."""
    return sum(db.execute(statement, named(owner, session_id)).rowcount for statement in _DELETES)
