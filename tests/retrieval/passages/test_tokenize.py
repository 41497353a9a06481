"""Each complaint about Korean lexical search in the field is a test here."""

import subprocess
import sys
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.passages.tokenize import Tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    tokenizer = Tokenizer.load()
    tokenizer.warm()
    return tokenizer


def found(tokenizer: Tokenizer, query: str, document: str) -> bool:
    """Whether BM25 would find the document: every term of the query is in it."""
    asked = set(tokenizer.terms(query))
    return bool(asked) and asked <= set(tokenizer.terms(document))


@pytest.mark.parametrize(
    ("query", "document"),
    [
        ("서울", "서울은 대한민국의 수도이다."),
        ("서울", "서울에서 열렸다."),
        ("Notion", "Notion에 저장했습니다."),
        ("hermes", "Hermes는 메시지를 보낸다."),
        ("OvertimeService", "OvertimeService를 호출한다."),
        ("overtimeservice", "초과 근무는 OvertimeService가 계산한다."),
        ("overtime", "OvertimeService"),
        ("service", "OvertimeService"),
        ("user name", "get_user_name()을 부른다"),
        ("get_user_name", "`get_user_name()` returns it"),
        ("os.path", "see os.path.join and os.path"),
        ("__init__", "__init__을 고친다"),
        ("C++", "C++로 작성"),
        ("3.11", "파이썬 3.11에서"),
        ("E0401", "오류 E0401이 발생"),
        ("help@example.com", "문의: help@example.com으로"),
        ("1,000", "가격은 1000원"),
        ("utf8", "UTF-8로 저장"),
        ("café", "the cafe"),
        ("ABC", "ＡＢＣ"),
        ("running", "he runs"),
        ("東京", "東京タワー"),
        ("서울", "서울"),
        ("저장하다", "저장한 파일"),
        ("전화 번호", "전화번호를 입력"),
        ("대학교", "서울대학교에 다닌다"),
    ],
)
def test_a_word_is_found_inside_what_surrounds_it(tokenizer: Tokenizer, query: str, document: str) -> None:
    assert found(tokenizer, query, document), (tokenizer.terms(query), tokenizer.terms(document))


@pytest.mark.parametrize(
    ("noun", "sentence"),
    [
        ("환불", "환불은 영업일 기준 사흘이 걸립니다."),
        ("배송", "배송이 늦어지고 있습니다."),
        ("비밀번호", "비밀번호를 잊으셨나요?"),
        ("쿠폰", "쿠폰으로 결제하실 수 있습니다."),
        ("회원", "회원가입을 먼저 해 주세요."),
        ("결제", "무통장입금결제만 됩니다."),
        ("포인트", "네이버페이포인트충전은 앱에서 합니다."),
        ("서울", "서울특별시에서는 무료입니다."),
        ("주소", "배송지주소변경은 발송 전까지만요."),
        ("영수증", "현금영수증은 자동으로 발급됩니다."),
    ],
)
def test_a_bare_noun_is_found_ten_times_in_ten(tokenizer: Tokenizer, noun: str, sentence: str) -> None:
    assert found(tokenizer, noun, sentence), (tokenizer.terms(noun), tokenizer.terms(sentence))


def test_part_of_a_word_that_no_dictionary_has_is_found_by_its_bigrams(tokenizer: Tokenizer) -> None:
    asked, held = set(tokenizer.terms("리랭커")), set(tokenizer.terms("뷁리랭커뚫"))
    assert asked & held


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("알림을 켜는 방법", "알림을 끄는 방법"),
        ("결제가 된다", "결제가 안 된다"),
        ("취소할 수 있다", "취소할 수 없다"),
        ("삭제하기", "삭제하지 않기"),
        ("회원", "비회원"),
        ("you can return it", "you can't return it"),
        ("turn on alerts", "turn off alerts"),
    ],
)
def test_opposites_differ_in_their_terms(tokenizer: Tokenizer, one: str, other: str) -> None:
    assert set(tokenizer.terms(one)) != set(tokenizer.terms(other))


def test_inflected_verbs_share_their_stem(tokenizer: Tokenizer) -> None:
    assert set(tokenizer.terms("도와주세요")) & set(tokenizer.terms("돕는 방법"))


def test_words_of_the_question_alone_leave_no_term(tokenizer: Tokenizer) -> None:
    assert tokenizer.terms("What is it?") == []
    assert tokenizer.terms("무엇이 있나요?") == []


def test_an_acronym_that_spells_a_stop_word_is_kept(tokenizer: Tokenizer) -> None:
    assert tokenizer.terms("IT support") == ["it", "support"]


def test_terms_stand_in_reading_order_with_their_repetitions(tokenizer: Tokenizer) -> None:
    assert tokenizer.terms("Notion 캐시, 캐시 Notion") == ["notion", "캐시", "캐시", "notion"]


def test_english_never_loads_the_korean_model() -> None:
    code = (
        "import sys; from retrieval.passages.tokenize import Tokenizer; t = Tokenizer.load();"
        "print(t.terms('The quick OvertimeService'), 'kiwipiepy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['quick', 'overtimeservic', 'overtim', 'servic'] False"


def test_threads_agree_with_one_another(tokenizer: Tokenizer) -> None:
    texts = [f"{i}번 주문의 배송지주소변경은 OrderService{i}에서 처리하고 있습니다." for i in range(50)]
    expected = [tokenizer.terms(text) for text in texts]
    results: list[list[list[str]]] = []
    threads = [threading.Thread(target=lambda: results.append([tokenizer.terms(t) for t in texts])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [expected] * 4


@pytest.mark.parametrize(
    "text",
    [
        "\ud800 안녕",
        "\x00\x01\x02안녕",
        "👨‍👩‍👧 안녕 🙂",
        "ㅋㅋㅋㅋ ㅠㅠ",
        "가" * 30_000,
        "a" * 1_000_000,
        "a'" * 300_000,
        "1," * 300_000,
        "漢" * 100_000,
        "\n" * 1_000_000,
        "한" * 10_000,
    ],
    ids=lambda text: repr(text[:4]),
)
def test_hostile_text_gives_terms_of_bounded_length(tokenizer: Tokenizer, text: str) -> None:
    assert all(0 < len(term) <= 64 for term in tokenizer.terms(text))


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_any_text_has_terms_that_can_be_stored(text: str) -> None:
    terms = Tokenizer.load().terms(text)
    assert all(term and term.strip() and term.encode() for term in terms)


@settings(max_examples=50, deadline=None)
@given(st.text(st.characters(codec="ascii"), max_size=100), st.sampled_from(["환불 안내", "서울은 수도"]))
def test_a_line_has_the_same_terms_wherever_it_stands(line: str, other: str) -> None:
    tokenizer = Tokenizer.load()
    lines = "".join(line.splitlines())
    assert tokenizer.terms(f"{lines}\n{other}") == tokenizer.terms(lines) + tokenizer.terms(other)


@pytest.mark.parametrize(
    ("query", "document"),
    [("배송", "배송은 이틀 걸립니다."), ("환불", "전액환불을 신청"), ("Notion", "Notion에 저장"), ("물", "물")],
)
def test_without_kiwi_a_word_is_found_by_its_syllables(query: str, document: str) -> None:
    assert found(Tokenizer(korean=False), query, document)


@given(st.text())
def test_without_kiwi_no_text_is_refused_and_other_scripts_give_what_they_give_with_it(text: str) -> None:
    assert Tokenizer(korean=False).terms(text) is not None
    latin = "".join(filter(str.isascii, text))
    assert Tokenizer(korean=False).terms(latin) == Tokenizer().terms(latin)
