"""Sessions as they are kept: order, branches, owners and users, on both databases."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import URL

from retrieval.characters import shortened
from server.records.bookmarks import Bookmarks
from server.records.database import RecordsDatabase
from server.records.errors import SessionBusy, UnknownBookmark, UnknownMessage, UnknownSession
from server.records.sessions import Sessions
from server.records.turn import Status, Turn
from server.records.turns import Turns
from tests.databases import Time
from tests.server.records.test_turns import TURN


@dataclass
class Kept:
    turns: Turns
    sessions: Sessions
    bookmarks: Bookmarks
    clock: Time
    number: int = 0

    async def ask(self, question: str, answer: str, session: str = "talk", **said: str | None) -> Turn:
        """A turn of the session, to its end."""
        return await self.end(await self.begin(question, session, **said), answer)

    async def begin(self, question: str, session: str = "talk", **said: str | None) -> Turn:
        self.number += 1
        self.clock.now += 1
        replaces, user = said.get("replaces"), said.get("user") or ""
        turn = replace(
            TURN,
            trace_id=f"trace_{self.number}",
            message_id=f"msg_{self.number}",
            owner=said.get("owner") or "alice",
            session_id=session,
            user_id=user,
            created=self.clock.now,
            question=question,
            answer="",
            status=Status.RUNNING,
            in_session=True,
        )
        placed, _ = await self.turns.enter(turn, replaces, 5)
        return placed

    async def end(self, turn: Turn, answer: str) -> Turn:
        whole = replace(turn, answer=answer, status=Status.COMPLETE)
        await self.turns.end(whole)
        return whole

    async def shown(self, session: str = "talk") -> list[tuple[str, str]]:
        _, page = await self.sessions.exchanges("alice", session)
        return [(each.turn.question, each.turn.answer) for each in page.items]


@pytest.fixture
async def kept(database_url: URL) -> AsyncIterator[Kept]:
    database, clock = await RecordsDatabase.at(database_url), Time()
    yield Kept(Turns(database, clock=clock), Sessions(database, clock), Bookmarks(database, clock), clock)
    await database.close()


async def test_a_session_is_told_by_its_first_question_and_its_last_message(kept: Kept) -> None:
    await kept.ask("배송은 며칠 걸리나요?", "이틀입니다.")
    await kept.ask("제주도는요?", "나흘입니다.")
    session = await kept.sessions.get("alice", "talk")
    assert (session.title, session.messages, session.last_message) == ("배송은 며칠 걸리나요?", 4, "나흘입니다.")
    assert await kept.shown() == [("배송은 며칠 걸리나요?", "이틀입니다."), ("제주도는요?", "나흘입니다.")]


async def test_an_answer_knows_the_last_turns_of_its_branch_and_no_other(kept: Kept) -> None:
    for number in range(8):
        await kept.ask(f"q{number}", f"a{number}")
    other = replace(TURN, trace_id="trace_x", session_id="other", in_session=True)
    assert await kept.turns.enter(other, None, 5) == (other, [])
    await kept.ask("again", "anew", replaces="msg_6")
    placed, earlier = await kept.turns.enter(
        replace(TURN, trace_id="trace_y", session_id="talk", in_session=True), None, 3
    )
    assert [turn.question for turn in earlier] == ["q3", "q4", "again"]
    assert placed.depth == 7


async def test_asking_anew_keeps_the_earlier_version_beside(kept: Kept) -> None:
    first = await kept.ask("q1", "a1")
    second = await kept.ask("q2", "a2")
    await kept.ask("q3", "a3")
    third = await kept.ask("q2, in other words", "b2", replaces=second.message_id)
    fourth = await kept.ask("q1", "c1", replaces=f"ask_{first.message_id[4:]}")  # by its question
    assert await kept.shown() == [("q1", "c1")]
    await kept.sessions.show("alice", "talk", "", first.message_id)
    assert await kept.shown() == [("q1", "a1"), ("q2, in other words", "b2")]
    _, page = await kept.sessions.exchanges("alice", "talk")
    assert [(each.version, each.versions) for each in page.items] == [
        (1, (first.message_id, fourth.message_id)),
        (2, (second.message_id, third.message_id)),
    ]
    session = await kept.sessions.show("alice", "talk", "", second.message_id)
    assert session.messages == 6
    assert await kept.shown() == [("q1", "a1"), ("q2", "a2"), ("q3", "a3")]


async def test_a_second_question_waits_for_the_answer_of_the_first(kept: Kept) -> None:
    running = await kept.begin("q1")
    with pytest.raises(SessionBusy):
        await kept.begin("q2")
    with pytest.raises(SessionBusy):
        await kept.sessions.show("alice", "talk", "", running.message_id)
    await kept.end(running, "a1")
    await kept.ask("q2", "a2")
    assert await kept.shown() == [("q1", "a1"), ("q2", "a2")]


async def test_of_many_at_once_one_is_taken(kept: Kept) -> None:
    await kept.ask("q0", "a0")
    turns = [
        replace(TURN, trace_id=f"many_{i}", message_id=f"msg_many_{i}", session_id="talk", in_session=True)
        for i in range(8)
    ]
    told = await asyncio.gather(*(kept.turns.enter(turn, None, 5) for turn in turns), return_exceptions=True)
    assert sum(isinstance(each, tuple) for each in told) == 1
    assert sum(isinstance(each, SessionBusy) for each in told) == 7


async def test_a_session_whose_server_died_shows_what_was_asked_and_goes_on(kept: Kept) -> None:
    await kept.begin("lost?")
    kept.clock.now += 1000
    await kept.turns.interrupt()
    await kept.ask("again", "here")
    assert await kept.shown() == [("lost?", ""), ("again", "here")]
    _, page = await kept.sessions.exchanges("alice", "talk")
    assert page.items[0].turn.status is Status.INTERRUPTED


@pytest.mark.parametrize(("owner", "user"), [("bob", ""), ("bob", "u1"), ("alice", "u2")])
async def test_anothers_session_is_as_unknown_as_one_that_never_was(kept: Kept, owner: str, user: str) -> None:
    made = await kept.sessions.create("alice", "u1", "")
    turn = await kept.ask("q1", "a1", made.id, user="u1")
    stranger = replace(TURN, trace_id="trace_s", owner=owner, user_id=user, session_id=made.id, in_session=True)
    sessions = kept.sessions
    for call in (
        sessions.get(owner, made.id, user),
        sessions.exchanges(owner, made.id, user),
        sessions.rename(owner, made.id, user, "mine"),
        sessions.show(owner, made.id, user, turn.message_id),
        sessions.delete(owner, made.id, user),
        sessions.page(owner, user, "", 5, made.id),
        kept.turns.enter(stranger, None, 5),
    ):
        with pytest.raises(UnknownSession, match="no session"):
            await call
    for message in (
        sessions.exchange(owner, turn.message_id, user),
        kept.bookmarks.add(owner, user, "msg_1", None, None),
    ):
        with pytest.raises(UnknownMessage, match="no message"):
            await message
    assert (await sessions.page(owner, user, "", 5, None)).items == []


async def test_an_id_of_our_own_form_that_was_never_made_is_unknown_and_a_callers_own_begins_one(kept: Kept) -> None:
    with pytest.raises(UnknownSession):
        await kept.begin("q", f"session_{'0' * 32}")
    await kept.ask("q", "a", "their-own-id")
    await kept.ask("q", "a", "their-own-id", owner="bob")
    assert (await kept.sessions.get("alice", "their-own-id")).messages == 2


async def test_a_message_of_another_session_is_not_replaced(kept: Kept) -> None:
    turn = await kept.ask("q1", "a1", "one")
    await kept.ask("q2", "a2", "two")
    with pytest.raises(UnknownMessage):
        await kept.begin("q3", "two", replaces=turn.message_id)


async def test_lists_are_newest_first_and_paged_without_a_gap(kept: Kept) -> None:
    for number in range(7):
        await kept.ask(f"q{number}", "a", f"s{number}")
    await kept.ask("again", "a", "s2")
    found, after = list[str](), None
    while True:
        page = await kept.sessions.page("alice", "", "", 3, after)
        found += [each.id for each in page.items]
        if not page.has_more:
            break
        after = found[-1]
    assert found == ["s2", "s6", "s5", "s4", "s3", "s1", "s0"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("제주", ["korean"]),
        ("DELIVERY", ["english"]),
        ("délivered", ["english"]),
        ("이틀 제주", ["korean"]),
        ("100%", ["english"]),
        ("_", []),
        ("이틀 delivery", []),
        ("", ["english", "korean"]),
    ],
)
async def test_a_search_finds_words_of_titles_and_of_messages_in_both_languages(
    kept: Kept, query: str, found: list[str]
) -> None:
    await kept.ask("배송은 며칠 걸리나요?", "이틀이고, 제주도는 나흘입니다.", "korean")
    await kept.ask("How long is Delivery?", "It is de\u0301livered in two days, 100% sure.", "english")
    page = await kept.sessions.page("alice", "", query, 10, None)
    assert [each.id for each in page.items] == found


async def test_a_removed_answer_leaves_the_conversation_whole(kept: Kept) -> None:
    turns = [await kept.ask(f"q{number}", f"a{number}") for number in range(4)]
    await kept.turns.delete("alice", turns[1].trace_id)
    assert await kept.shown() == [("q0", "a0"), ("q2", "a2"), ("q3", "a3")]
    await kept.turns.delete("alice", turns[3].trace_id)
    await kept.ask("q4", "a4")
    assert await kept.shown() == [("q0", "a0"), ("q2", "a2"), ("q4", "a4")]
    assert (await kept.sessions.get("alice", "talk")).messages == 6


async def test_bookmarks_hold_their_message_when_the_session_is_gone_and_go_with_their_user(kept: Kept) -> None:
    turn = await kept.ask("q1", "a1", user="u1")
    made = await kept.bookmarks.add("alice", "u1", turn.message_id, "read again", "later")
    again = await kept.bookmarks.add("alice", "u1", turn.message_id, None, "now")
    assert (again.id, again.note, again.tag) == (made.id, "read again", "now")
    await kept.sessions.delete("alice", "talk", "u1")
    page = await kept.bookmarks.page("alice", "u1", "now", "AGAIN", 5, None)
    assert [each.turn.answer for each in page.items] == ["a1"]
    assert await kept.sessions.erase("alice", "u1") == {"answers": 0, "sessions": 0, "bookmarks": 1}
    with pytest.raises(UnknownBookmark):
        await kept.bookmarks.get("alice", "u1", made.id)


async def test_erasing_a_user_takes_everything_of_theirs_and_nothing_else(kept: Kept) -> None:
    await kept.ask("before anybody", "a", "shared")
    await kept.ask("q", "a", "shared", user="u1")
    await kept.ask("q", "a", "second", user="u2")
    await kept.ask("q", "a", "third", owner="bob", user="u1")
    assert await kept.sessions.erase("alice", "u1") == {"answers": 2, "sessions": 1, "bookmarks": 0}
    assert [each.id for each in (await kept.sessions.page("alice", "", "", 9, None)).items] == ["second"]
    assert (await kept.sessions.get("bob", "third")).messages == 2


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 30)), max_size=14))
@settings(max_examples=15, deadline=None)
def test_whatever_is_asked_anew_every_version_stays_readable(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[bool, int]]
) -> None:
    """A model of the tree beside the database's: the branch that is shown is always the model's."""

    async def run() -> None:
        database, clock = await RecordsDatabase.at(tmp_path_factory.mktemp("tree") / "t.db"), Time()
        kept = Kept(Turns(database, clock=clock), Sessions(database, clock), Bookmarks(database, clock), clock)
        follows: dict[str, str | None] = {}
        head: str | None = None
        for anew, which in steps:
            asked = list(follows)
            replaced = asked[which % len(asked)] if anew and asked else None
            turn = await kept.ask(f"q{len(follows)}", "a", replaces=replaced)
            follows[turn.message_id] = follows[replaced] if replaced else head
            head = turn.message_id
        shown = list[str]()
        while head is not None:
            shown.append(head)
            head = follows[head]
        if follows:
            _, page = await kept.sessions.exchanges("alice", "talk")
            assert [each.turn.message_id for each in page.items] == shown[::-1]
            for message in follows:
                assert (await kept.sessions.exchange("alice", message)).message_id == message
        await database.close()

    asyncio.run(run())


@given(
    st.text(max_size=80) | st.sampled_from(["👩‍👩‍👧‍👦" * 9, "🇰🇷🇯🇵" * 15, "e\u0301" * 40, "가나다 라마바 " * 9]),
    st.integers(2, 60),
)
def test_a_title_is_cut_between_what_is_seen_as_one(text: str, longest: int) -> None:
    cut = shortened(text, longest)
    assert len(cut) <= longest
    assert cut == text or (cut.endswith("…") and text.startswith(cut[:-1]))
    assert not cut.removesuffix("…").endswith("\u200d")
