"""How often an answer asks the databases: counted, so that no query creeps in."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Engine, event

from tests.server.house import QUESTION, House
from tests.stub_engine import Finish

_WORDS = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Statements by the threads that send them: of the records, and of the store where an answer reads it."""
    found: Counter[str] = Counter()

    def count(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        name = threading.current_thread().name
        if statement.lstrip().startswith(_WORDS) and name.startswith(("records", "reads")):
            found[name.partition("-")[0]] += 1

    event.listen(Engine, "before_cursor_execute", count)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", count)


async def ask(home: House, **more: str) -> str:
    home.stub.script("이틀 [1].", Finish())
    status, answer = await home.post("/api/v1/chat", {"question": QUESTION, **more})
    assert status == 200
    session: str = answer["metadata"]["session_id"]
    return session


@pytest.mark.parametrize("earlier", [1, 12])
async def test_an_answer_of_a_session_costs_the_records_eight_statements_however_long_it_is(
    home: House, earlier: int
) -> None:
    """Before its search: the session, whether one runs, its turns, the new one, the session's own words (2). At its
    end: the turn, and the session's.
    """
    for _ in range(earlier):
        session = await ask(home, session_id="talk")
    with counted() as statements:
        await ask(home, session_id=session)
    assert statements["records"] == 8


async def test_an_answer_that_begins_a_session_costs_six(home: House) -> None:
    await ask(home)
    with counted() as statements:
        await ask(home)
    assert statements["records"] == 6


async def test_an_answer_without_a_session_costs_two(home: House) -> None:
    history = [{"role": "user", "content": "안녕"}, {"role": "assistant", "content": "네"}]
    body = {"question": QUESTION, "chat_history": history}
    assert (await home.post("/api/v1/chat", body))[0] == 200
    with counted() as statements:
        assert (await home.post("/api/v1/chat", body))[0] == 200
    assert statements["records"] == 2
    reads = statements["reads"]
    with counted() as again:
        assert (await home.post("/api/v1/chat", body))[0] == 200
    assert again["reads"] == reads
