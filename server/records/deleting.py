"""An answer leaves with all that was kept of it: its turn, and the response that was made by it.

In the caller's transaction. The rows go at once, their bytes with the next upkeep.
"""

from sqlalchemy import BindParameter, Connection, bindparam, delete, select, update

from retrieval.database.engine import Database
from server.records.tables import leftovers, responses, turns

_OWNER: BindParameter[str] = bindparam("of_owner")
_TURN = delete(turns).where(turns.c.trace_id == bindparam("named"), turns.c.owner == _OWNER)
_RESPONSES_OF_TURN = delete(responses).where(responses.c.trace_id == bindparam("named"), responses.c.owner == _OWNER)
_NAMED = (responses.c.id == bindparam("named"), responses.c.owner == _OWNER)
_TURN_OF_RESPONSE = delete(turns).where(
    turns.c.trace_id == select(responses.c.trace_id).where(*_NAMED).scalar_subquery(), turns.c.owner == _OWNER
)
_RESPONSE = delete(responses).where(*_NAMED)
_DUE = select(leftovers.c.due)
_SET_DUE = update(leftovers).values(due=bindparam("now_due"))


def delete_turn(db: Connection, owner: str, trace_id: str) -> bool:
    """And its response. False where this owner has no such turn."""
    mine = {"named": trace_id, "of_owner": owner}
    return _deleted(db, db.execute(_RESPONSES_OF_TURN, mine).rowcount + db.execute(_TURN, mine).rowcount)


def delete_response(db: Connection, owner: str, response_id: str) -> bool:
    """And its turn, where it says which. False where this owner has no such response."""
    mine = {"named": response_id, "of_owner": owner}
    db.execute(_TURN_OF_RESPONSE, mine)
    return _deleted(db, db.execute(_RESPONSE, mine).rowcount)


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
