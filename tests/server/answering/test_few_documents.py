"""With everything at its default: a store of two or three short documents answers what they answer."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from models.embedders.e5 import E5Embedder
from retrieval.passages.tokenize import Tokenizer
from tests.server.house import UNHURRIED, House, house


@pytest.fixture
async def plain(data_dir: Path, embedder: E5Embedder, tokenizer: Tokenizer) -> AsyncIterator[House]:
    async with house(data_dir, embedder, tokenizer, retrieval=UNHURRIED) as opened:
        yield opened


@pytest.mark.parametrize(
    ("store", "question", "filename"),
    [
        ("default", "배송은 며칠 걸리나요?", "delivery.md"),
        ("default", "비밀번호는 어디서 바꿀 수 있나요?", "login.md"),
        ("default", "반품 배송비는 얼마인가요?", "returns.md"),
        ("python", "What does a lambda expression create?", "lambda.md"),
        ("python", "When does the with statement close a file?", "with.md"),
    ],
)
async def test_what_is_there_is_found_first(plain: House, store: str, question: str, filename: str) -> None:
    status, answer = await plain.post(
        "/v1/chat/completions", {"model": f"ragpod:{store}", "messages": [{"role": "user", "content": question}]}
    )
    assert status == 200
    assert answer["ragpod"]["no_evidence"] is False
    assert answer["choices"][0]["message"]["context"]["citations"][0]["filepath"] == filename


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("환불은 신청 후 3영업일 안에 처리됩니다.", "환불은 얼마나 걸리나요?"),
        ("배송은 결제 후 이틀 안에 도착합니다. 제주도는 나흘이 걸립니다.", "제주도 배송은 며칠 걸려요?"),
        ("비밀번호는 설정 화면의 보안 메뉴에서 바꿀 수 있습니다.", "비밀번호를 바꾸고 싶어요"),
        ("Refunds are processed within three business days of the request.", "How long does a refund take?"),
        ("A lambda expression creates an anonymous function.", "What does a lambda expression create?"),
    ],
)
async def test_a_store_of_one_document_answers_what_it_answers(plain: House, text: str, question: str) -> None:
    await plain.ingest("single", {"only.md": text})
    body = {"model": "ragpod:single", "messages": [{"role": "user", "content": question}]}
    _, answer = await plain.post("/v1/chat/completions", body)
    assert answer["ragpod"]["no_evidence"] is False


@pytest.mark.parametrize("question", ["회사 주소가 어디인가요?", "asdf qwer zxcv", "What is the capital of France?"])
async def test_a_store_of_one_document_refuses_what_it_does_not(plain: House, question: str) -> None:
    await plain.ingest("single", {"only.md": "환불은 신청 후 3영업일 안에 처리됩니다."})
    body = {"model": "ragpod:single", "messages": [{"role": "user", "content": question}]}
    _, answer = await plain.post("/v1/chat/completions", body)
    assert answer["ragpod"]["no_evidence"] is True
