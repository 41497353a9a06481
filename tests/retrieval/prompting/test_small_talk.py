"""Greetings and thanks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.language import language
from retrieval.prompting.small_talk import small_talk


@pytest.mark.parametrize(
    "message",
    [
        "Thanks!",
        "thank you so much, bye",
        "Hello",
        "hi there 👋",
        "How are you?",
        "who are you?",
        "고마워",
        "정말 감사합니다 ㅎㅎ",
        "안녕하세요~",
        "네, 알겠습니다. 고맙습니다",
        "잘 가",
        "너는 누구야?",
        "도움이 많이 됐어요, 감사해요!",
        "수고하세요^^",
    ],
)
def test_small_talk_is_answered_in_its_language(message: str) -> None:
    answer = small_talk(message)
    assert answer
    assert language(answer) == language(message)


@pytest.mark.parametrize(
    "message",
    [
        "thanks, how do I reset it?",
        "hi, what does Pro cost",
        "hello world example",
        "thank you letter",
        "good",
        "ok",
        "네",
        "",
        "고마워요 그런데 환불은요?",
        "안녕하세요! 환불은 언제 되나요?",
        "감사 인사 쓰는 법",
        "수고비는 얼마인가요?",
        "하이패스 등록",
    ],
)
def test_a_question_is_no_small_talk_however_it_begins(message: str) -> None:
    assert small_talk(message) is None


@given(st.text("hi ok!네감사합니다 ~.", max_size=60))
def test_any_message_is_judged_at_once(message: str) -> None:
    assert small_talk(message) is None or small_talk(message)
