"""Which units are chosen, without a model: late interaction is the same for all."""

import re

import numpy as np
import pytest

from models.quoting.quoter import Quoter
from models.quoting.rendering import render

PAGE = (
    "# Plans\n\n## Install\n\nThe tool runs anywhere.\n\n```sh\ncurl -O https://x.example/t\n```\n\n## Prices\n\n"
    "| Plan | Month |\n|---|---|\n| Hobby | $0 |\n| Pro | $19 |\n\nPrices are without tax."
)
CODES = (
    "# Washer\n\n- **F28**: No flame. Open the tap.\n- **F28.1**: Five tries. Wait a while.\n- **E12**: No drain.\n\n"
    "The WA-310 takes 7 kg. The WA-320 takes 8 kg. The battery is a CR2032."
)
SWITCH = (
    "# Network\n\n### Turning the guest network on\n\n1. Open the app.\n2. Switch it on.\n\n"
    "### Turning the guest network off\n\n1. Open the app.\n2. Hold the switch.\n\nGuests are counted."
)


def words(text: str) -> list[str]:
    stop = {"the", "a", "is", "do", "i", "how", "what", "does", "it", "to", "of", "and"}
    return [word[:4] for word in re.findall(r"[a-z]+|[가-힣]{2}|\d+", text.lower()) if word not in stop]


def answer(question: str, *passages: str, late: float = 0.5) -> str:
    quoter = Quoter(question, passages, words)
    return render(quoter.choose(np.full(len(quoter.texts), late, np.float32)))


@pytest.mark.parametrize(
    ("question", "page", "expected"),
    [
        ("what does the Pro plan cost a month", PAGE, "Plan: Pro, Month: $19 [1]"),
        ("install command", PAGE, "```\ncurl -O https://x.example/t\n```\n[1]"),
        ("are prices with tax", PAGE, "Prices are without tax. [1]"),
        ("F28", CODES, "- F28: No flame. Open the tap. [1]"),
        ("F28.1", CODES, "- F28.1: Five tries. Wait a while. [1]"),
        ("error E12?", CODES, "- E12: No drain. [1]"),
        ("WA-320", CODES, "The WA-320 takes 8 kg. [1]"),
        ("how do I turn the guest network off", SWITCH, "1. Open the app.\n2. Hold the switch. [1]"),
        ("how do I turn the guest network on", SWITCH, "1. Open the app.\n2. Switch it on. [1]"),
    ],
)
def test_the_unit_that_answers_comes_alone(question: str, page: str, expected: str) -> None:
    assert answer(question, page) == expected


def test_a_code_that_no_passage_has_is_answered_by_nothing() -> None:
    assert answer("error E77 of the washer", CODES) == ""


def test_a_sentence_that_only_repeats_the_question_is_no_answer() -> None:
    assert answer("What is the opening time?", "What is the opening time? We open at nine in the morning.") == (
        "We open at nine in the morning. [1]"
    )


def test_an_answer_of_an_faq_comes_whole_where_its_question_was_asked() -> None:
    row = "# How do I return an item?\nChoose the item. Print the label. Bring the parcel to us."
    assert answer("How do I return an item?", row, late=0.9) == (
        "Choose the item. Print the label. Bring the parcel to us. [1]"
    )
    long = row + " It takes a while." * 60
    cut = answer("How do I return an item?", long, late=0.9)
    assert len(cut) < 520
    assert cut.endswith("It takes a while. … [1]")


def test_what_takes_an_answer_back_comes_with_it() -> None:
    text = answer("may I return the item", "You may return the item. However, you pay for the parcel. We sell shoes.")
    assert text == "You may return the item. However, you pay for the parcel. [1]"


def test_an_item_comes_with_what_introduces_it() -> None:
    page = "Limits of the service are:\n- Requests: 600 a minute.\n- Body: 2 MB.\n\nThe service is in Oslo."
    assert answer("how large may the body be", page) == "Limits of the service are:\n- Body: 2 MB. [1]"


def test_a_picture_alone_is_never_said() -> None:
    page = "![pro plan](https://ads.example/pro.png)\n\nThe pro plan costs nine euros."
    assert answer("pro plan", page) == "The pro plan costs nine euros. [1]"


RULE, EXCEPTION = "Delivery comes two days after payment.", "To Jeju it takes four."
DELIVERY = f"# Delivery\n\n{RULE} {EXCEPTION}"
LONGER = f"{DELIVERY} On other islands it may be one day more or two, as the weather and the ferries allow."


@pytest.mark.parametrize(
    ("question", "page", "near", "expected"),
    [
        ("How much time does delivery take?", DELIVERY, (0.47, 0.41), f"{RULE} {EXCEPTION}"),
        ("How many days does delivery take to Jeju?", DELIVERY, (0.4, 0.6), EXCEPTION),
        ("Which delivery does not take long?", DELIVERY, (0.4, 0.6), EXCEPTION),
        ("Does delivery take long?", LONGER, (0.47, 0.41), EXCEPTION),
    ],
)
def test_a_rule_comes_with_its_exception_where_terms_and_vectors_disagree(
    question: str, page: str, near: tuple[float, float], expected: str
) -> None:
    quoter = Quoter(question, [page], words)
    late = [near["Jeju" in text] if "other" not in text else 0.2 for text in quoter.texts]
    assert render(quoter.choose(np.array(late, np.float32))) == f"{expected} [1]"


def test_a_price_that_is_asked_for_is_said_rather_than_the_words_of_the_question() -> None:
    page = "# Deposits\n\nA bidder who does not sign loses the deposit of the bid.\n\nThe deposit is $500 at least."
    assert answer("How much is the deposit of the bid?", page) == "The deposit is $500 at least. [1]"
