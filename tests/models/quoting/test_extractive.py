"""Answers by quoting, with the real embedder."""

import asyncio
import re
from collections.abc import Iterator

import numpy as np
import pytest

from models.base import Message, Prompt, Sampling, TokenDelta
from models.embedders.e5 import E5Embedder
from models.quoting.extractive import ExtractiveGenerator
from models.quoting.quoter import Quoter
from models.quoting.rendering import Quote, render
from models.quoting.sentences import Unit

REFUND = (
    "# 환불은 언제 들어오나요?\n반품한 상품이 창고에 도착하면 영업일 2일 안에 검수하고 바로 환불을 승인합니다. "
    "그 뒤 신용카드는 3~5일, 체크카드는 1~2일 안에 들어옵니다."
)
PASSWORD = (
    "# 비밀번호 바꾸기\n비밀번호를 잊었을 때는 다음 순서로 바꿀 수 있습니다. 자세한 내용은 아래를 보세요.\n\n"
    "비밀번호는 이렇게 재설정해 주세요.\n"
    "1. 로그인 화면을 엽니다\n2. ‘비밀번호 찾기’를 누릅니다\n3. 메일의 링크를 누릅니다\n\n"
    "링크는 30분 동안만 유효하며 한 번 쓰면 사라집니다. "
    "새 비밀번호는 영문, 숫자, 특수문자를 섞어 10자 이상이어야 합니다. "
    + "다른 기기에서는 모두 로그아웃되므로 다시 로그인해야 하고, 자동 로그인도 풀립니다. "
    * 3
)
WITH = (
    'The "with" statement\n********************\n\n'
    'The "with" statement wraps the execution of a block with methods of\n'
    "a context manager.\n\nThe following code:\n\n   with EXPRESSION as TARGET:\n       SUITE\n\nis an example."
)


def words(text: str) -> list[str]:
    return re.findall(r"[a-z]+|[가-힣]{2}", text.lower())


@pytest.fixture(scope="module")
def embedder() -> Iterator[E5Embedder]:
    embedder = E5Embedder.load(threads=1)
    yield embedder
    embedder.close()


@pytest.fixture
def generator(embedder: E5Embedder) -> ExtractiveGenerator:
    return ExtractiveGenerator(embedder, words)


async def deltas(
    generator: ExtractiveGenerator, question: str, *passages: str, sampling: Sampling | None = None
) -> list[TokenDelta]:
    async with generator.stream(Prompt((), question, passages), sampling or Sampling()) as stream:
        return [delta async for delta in stream]


async def answer(generator: ExtractiveGenerator, question: str, *passages: str) -> str:
    return "".join(delta.text for delta in await deltas(generator, question, *passages))


async def test_a_short_help_centre_answer_is_quoted_whole_without_its_question(generator: ExtractiveGenerator) -> None:
    assert await answer(generator, "환불은 언제 되나요?", REFUND, WITH) == (
        "반품한 상품이 창고에 도착하면 영업일 2일 안에 검수하고 바로 환불을 승인합니다. "
        "그 뒤 신용카드는 3~5일, 체크카드는 1~2일 안에 들어옵니다. [1]"
    )


async def test_the_passage_that_answers_is_quoted_wherever_it_stands(generator: ExtractiveGenerator) -> None:
    text = await answer(generator, "What does the with statement do?", REFUND, WITH)
    assert text.startswith('The "with" statement wraps the execution of a block with methods of a context manager. [2]')


async def test_steps_follow_the_sentence_that_introduces_them(generator: ExtractiveGenerator) -> None:
    text = await answer(generator, "비밀번호를 재설정하려면 어떻게 하나요?", PASSWORD)
    assert (
        "비밀번호는 이렇게 재설정해 주세요.\n1. 로그인 화면을 엽니다\n2. ‘비밀번호 찾기’를 누릅니다\n"
        "3. 메일의 링크를 누릅니다 [1]"
    ) in text


@pytest.mark.parametrize("question", ["환불 언제?", "비밀번호", "with"])
async def test_every_sentence_is_of_the_passage_that_its_mark_names(
    generator: ExtractiveGenerator, question: str
) -> None:
    passages = (REFUND, PASSWORD, WITH)
    text = await answer(generator, question, *passages)
    quotes = re.findall(r"(.+?) \[(\d)\]", text, re.DOTALL)
    assert 1 <= len(quotes) <= 12
    for quote, mark in quotes:
        source = " ".join(passages[int(mark) - 1].split())
        assert " ".join(quote.replace("```", " ").split()) in source


async def test_what_the_passages_do_not_answer_is_refused(embedder: E5Embedder) -> None:
    generator = ExtractiveGenerator(embedder, words, lambda question: f"nothing about {question}")
    assert await answer(generator, "error E77", REFUND, WITH) == "nothing about error E77"


async def test_it_streams_words_and_ends_with_usage(generator: ExtractiveGenerator) -> None:
    found = await deltas(generator, "환불은 언제 되나요?", REFUND)
    assert len(found) > 10
    assert all(delta.text and delta.finish_reason is None for delta in found[:-1])
    assert found[-1].finish_reason == "stop"
    usage = found[-1].usage
    assert usage is not None
    assert usage.completion_tokens > 20
    assert usage.prompt_tokens > 40


async def test_max_tokens_cuts_at_a_word(generator: ExtractiveGenerator) -> None:
    found = await deltas(generator, "환불은 언제 되나요?", REFUND, sampling=Sampling(max_tokens=10))
    usage = found[-1].usage
    assert found[-1].finish_reason == "length"
    assert usage is not None
    assert 0 < usage.completion_tokens <= 10
    assert REFUND.partition("\n")[2].startswith("".join(delta.text for delta in found))


async def test_a_stop_text_ends_the_answer_before_it(generator: ExtractiveGenerator) -> None:
    found = await deltas(generator, "환불은 언제 되나요?", REFUND, sampling=Sampling(stop=("승인", "없음")))
    assert "".join(delta.text for delta in found).endswith("바로 환불을 ")
    assert found[-1].finish_reason == "stop"


async def test_without_passages_it_says_nothing_and_ends(generator: ExtractiveGenerator) -> None:
    found = await deltas(generator, "환불은 언제 되나요?")
    assert [(delta.text, delta.finish_reason) for delta in found] == [("", "stop")]


async def test_a_reader_may_leave_at_any_word(generator: ExtractiveGenerator) -> None:
    async with generator.stream(Prompt((), "환불", (REFUND,)), Sampling()) as stream:
        assert (await anext(stream)).text
    task = asyncio.create_task(answer(generator, "환불", REFUND, PASSWORD))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_it_counts_tokens_and_writes_any_language(generator: ExtractiveGenerator) -> None:
    assert generator.languages == frozenset()
    assert await generator.count_tokens([Message("user", "안녕하세요")]) > 1


def test_a_repeated_sentence_is_quoted_once() -> None:
    same = "The finally clause is always executed at the end of the statement, whatever happens before it does."
    passages = f"{same} {'Other words. ' * 60}", f"{same} {'More words. ' * 60}"
    quoter = Quoter("When is the finally clause executed?", passages, words)
    quotes = quoter.choose(np.ones(len(quoter.texts), np.float32))
    assert [quote.unit.text for quote in quotes].count(same) == 1


def test_a_passage_without_sentences_is_shown_as_it_is() -> None:
    quoter = Quoter("q", ("   x = 1\n   y = 2",), words)
    assert render(quoter.choose(np.ones(1, np.float32))) == "```\nx = 1\ny = 2\n```\n[1]"


def test_one_mark_stands_for_a_list_and_each_passage_starts_a_paragraph() -> None:
    quotes = [
        Quote(Unit("Do this:", "sentence", 0), 2, 0),
        Quote(Unit("- a", "item", 1), 2, 1),
        Quote(Unit("- b", "item", 1), 2, 2),
        Quote(Unit("Then that.", "sentence", 2), 2, 3),
        Quote(Unit("Other.", "sentence", 0), 1, 0),
    ]
    assert render(quotes) == "Do this:\n- a\n- b [2]\nThen that. [2]\n\nOther. [1]"


async def test_every_choice_says_the_same_and_usage_of_all_comes_last(generator: ExtractiveGenerator) -> None:
    one = await deltas(generator, "환불은 언제 되나요?", REFUND)
    all_of = await deltas(generator, "환불은 언제 되나요?", REFUND, sampling=Sampling(n=3))
    assert [delta.text for delta in all_of] == [delta.text for delta in one] * 3
    assert [delta.choice for delta in all_of if delta.finish_reason] == [0, 1, 2]
    assert [delta.usage is not None for delta in all_of].count(True) == 1
    (alone, together) = (one[-1].usage, all_of[-1].usage)
    assert alone is not None
    assert together is not None
    assert (together.prompt_tokens, together.completion_tokens) == (alone.prompt_tokens, 3 * alone.completion_tokens)
