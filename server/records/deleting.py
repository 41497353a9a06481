"""An answer leaves with all that was kept of it: its turn, and the response that was made by it.

In the caller's transaction. The rows go at once, their bytes with the next upkeep.
"""

from sqlalchemy import BindParameter, Connection, bindparam, delete, or_, select, update

from retrieval.database.engine import Database
from server.records import talk
from server.records.tables import bookmarks, leftovers, responses, sessions, turns

_OWNER: BindParameter[str] = bindparam("of_owner")
_TURN = delete(turns).where(turns.c.trace_id == bindparam("named"), turns.c.owner == _OWNER)
_RESPONSES_OF_TURN = delete(responses).where(responses.c.trace_id == bindparam("named"), responses.c.owner == _OWNER)
_NAMED = (responses.c.id == bindparam("named"), responses.c.owner == _OWNER)
_TURN_OF_RESPONSE = delete(turns).where(
    turns.c.trace_id == select(responses.c.trace_id).where(*_NAMED).scalar_subquery(), turns.c.owner == _OWNER
)
_RESPONSE = delete(responses).where(*_NAMED)
_TRACE = select(responses.c.trace_id).where(*_NAMED)
_USER: BindParameter[str] = bindparam("user")
_SESSIONS_OF_USER = select(sessions.c.id).where(sessions.c.owner == _OWNER, sessions.c.user_id == _USER)
_TURNS_OF_USER = (
    turns.c.owner == _OWNER,
    or_(turns.c.user_id == _USER, turns.c.session_id.in_(_SESSIONS_OF_USER.scalar_subquery())),
)
_RESPONSES_OF_USER = delete(responses).where(
    responses.c.owner == _OWNER, responses.c.trace_id.in_(select(turns.c.trace_id).where(*_TURNS_OF_USER))
)
_OF_USER = {
    "answers": delete(turns).where(*_TURNS_OF_USER),
    "sessions": delete(sessions).where(sessions.c.owner == _OWNER, sessions.c.user_id == _USER),
    "bookmarks": delete(bookmarks).where(bookmarks.c.owner == _OWNER, bookmarks.c.user_id == _USER),
}
_DUE = select(leftovers.c.due)
_SET_DUE = update(leftovers).values(due=bindparam("now_due"))


def delete_turn(db: Connection, owner: str, trace_id: str) -> bool:
    """And its response. False where this owner has no such turn."""
    mine = {"named": trace_id, "of_owner": owner}
    talk.relink(db, owner, trace_id)
    return _deleted(db, db.execute(_RESPONSES_OF_TURN, mine).rowcount + db.execute(_TURN, mine).rowcount)


def delete_response(db: Connection, owner: str, response_id: str) -> bool:
    """And its turn, where it says which. False where this owner has no such response."""
    mine = {"named": response_id, "of_owner": owner}
    if (trace_id := db.scalar(_TRACE, mine)) is not None:
        talk.relink(db, owner, trace_id)
    db.execute(_TURN_OF_RESPONSE, mine)
    return _deleted(db, db.execute(_RESPONSE, mine).rowcount)


def delete_session(db: Connection, owner: str, session_id: str) -> bool:
    """With its turns, and the responses that were made by them. False where this owner has no such session."""
    return _deleted(db, talk.remove(db, owner, session_id))


def erase_user(db: Connection, owner: str, user_id: str) -> dict[str, int]:
    """All that is kept of one user of an owner: how many sessions, answers, bookmarks."""
    mine = {"of_owner": owner, "user": user_id}
    db.execute(_RESPONSES_OF_USER, mine)
    counts = {name: db.execute(statement, mine).rowcount for name, statement in _OF_USER.items()}
    _deleted(db, sum(counts.values()))
    return counts


def delete_bookmark(db: Connection, bookmark_id: str) -> None:
    _deleted(db, db.execute(delete(bookmarks).where(bookmarks.c.id == bookmark_id)).rowcount)


def _deleted(db: Connection, rows: int) -> bool:
    if rows:
        db.execute(_SET_DUE, {"now_due": 1})
    return bool(rows)


def leftovers_due(db: Connection) -> bool:
    return bool(db.scalar(_DUE))


def scrub(database: Database) -> bool:
    """See RecordsDatabase.scrub."""
    with database.alone():
        done = not database.is_sqlite or database.vacuum()
        if done:
            with database.write() as db:
                db.execute(_SET_DUE, {"now_due": 0})
    return done
