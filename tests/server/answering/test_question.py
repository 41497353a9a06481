import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.base import Message, ToolCall
from server.answering.failures import InvalidConversation
from server.answering.question import SEARCHED, Conversation, conversation, recent, search_question


def talk(*turns: tuple[str, str]) -> Conversation:
    return conversation([Message(role, text) for role, text in turns])  # type: ignore[arg-type]


def test_the_last_user_message_is_the_question_and_system_messages_are_joined() -> None:
    found = talk(
        ("system", "Be brief."),
        ("user", "first"),
        ("assistant", "one"),
        ("system", "Be polite."),
        ("user", "second"),
        ("assistant", "unfinished"),
    )
    assert found.question == "second"
    assert [m.content for m in found.history] == ["first", "one"]
    assert found.system == "Be brief.\n\nBe polite."


def test_a_conversation_without_a_user_message_is_refused() -> None:
    with pytest.raises(InvalidConversation) as caught:
        talk(("system", "x"), ("assistant", "y"), ("user", "  "))
    assert caught.value.param == "messages"


@pytest.mark.parametrize(
    "question", ["그건 어떻게 취소하나요?", "How do I undo it?", "And on Windows?", "이것도 되나요?", "그럼 환불은요?"]
)
def test_a_short_question_that_points_back_is_searched_with_the_one_before(question: str) -> None:
    found = talk(("user", "배송지는 어디서 바꾸나요?"), ("assistant", "[1]"), ("user", question))
    assert search_question(found) == f"배송지는 어디서 바꾸나요?\n{question}"


@pytest.mark.parametrize("question", ["배송은 며칠 걸리나요?", "How do I reset my password?"])
def test_a_question_that_stands_alone_is_searched_alone(question: str) -> None:
    assert search_question(talk(("user", "earlier"), ("assistant", "a"), ("user", question))) == question


def test_without_history_nothing_is_added() -> None:
    assert search_question(talk(("user", "What is it?"))) == "What is it?"


@given(st.lists(st.tuples(st.sampled_from(["system", "user", "assistant"]), st.text(max_size=60)), max_size=6))
def test_the_question_is_always_part_of_what_is_searched(turns: list[tuple[str, str]]) -> None:
    found = talk(*turns, ("user", "What about it?"))
    assert search_question(found).endswith(found.question)


@given(st.text(max_size=5000))
def test_what_is_searched_is_bounded(previous: str) -> None:
    for question in (previous, "What is it?"):
        if question.strip():
            assert len(search_question(talk(("user", previous + "x"), ("user", question)))) <= SEARCHED


def test_history_keeps_the_last_whole_turns_that_fit() -> None:
    turns = [Message("user", "word " * 50), Message("assistant", "short"), Message("user", "last")]
    assert recent(turns, 20) == tuple(turns[1:])
    assert recent(turns, 1000) == tuple(turns)
    assert recent(turns, 0) == ()


CALLED = Message("assistant", "", (ToolCall(0, "c", "look", '{"where": "' + "far " * 40 + '"}'),))
RESULT = Message("tool", "found", tool_call_id="c")


def test_calls_and_their_results_after_the_question_follow_it() -> None:
    found = conversation([Message("user", "Where?", name="kim"), CALLED, RESULT])
    assert (found.question, found.name, found.history, found.after) == ("Where?", "kim", (), (CALLED, RESULT))
    found = conversation([Message("user", "Where?"), CALLED, RESULT, Message("user", "And now?")])
    assert (found.history, found.after) == ((Message("user", "Where?"), CALLED, RESULT), ())


def test_a_last_user_message_without_text_is_refused_whatever_came_before() -> None:
    with pytest.raises(InvalidConversation):
        talk(("user", "Where?"), ("assistant", "There."), ("user", " "))


def test_history_never_begins_with_a_result_whose_call_was_cut_off() -> None:
    turns = [Message("user", "Where?"), CALLED, RESULT, Message("assistant", "There.")]
    assert recent(turns, 20) == (turns[-1],)
    assert recent(turns, 1000) == tuple(turns)
