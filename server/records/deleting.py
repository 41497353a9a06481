"""An answer leaves with all that was kept of it: its turn, and the response that was made by it.

In the caller's transaction. The rows go at once, their bytes with the next upkeep.
"""

import sqlite3


def delete_turn(db: sqlite3.Connection, owner: str, trace_id: str) -> bool:
    """And its response. False where this owner has no such turn."""
    mine = (trace_id, owner)
    responses = db.execute("DELETE FROM responses WHERE trace_id = ? AND owner = ?", mine).rowcount
    turns = db.execute("DELETE FROM turns WHERE trace_id = ? AND owner = ?", mine).rowcount
    return _deleted(db, responses + turns)


def delete_response(db: sqlite3.Connection, owner: str, response_id: str) -> bool:
    """And its turn, where it says which. False where this owner has no such response."""
    mine = (response_id, owner)
    turn = "SELECT trace_id FROM responses WHERE id = ? AND owner = ?"
    db.execute(f"DELETE FROM turns WHERE trace_id = ({turn}) AND owner = ?", (*mine, owner))  # noqa: S608
    return _deleted(db, db.execute("DELETE FROM responses WHERE id = ? AND owner = ?", mine).rowcount)


def _deleted(db: sqlite3.Connection, rows: int) -> bool:
    if rows:
        db.execute("UPDATE leftovers SET due = 1")
    return bool(rows)
