"""The grammar that holds the small engine to the evidence."""

import json
import re

from models.base import Message, Prompt
from models.quoting.grammar import Choice, choices, grammar, quoted_answer

FIRST = (
    "# with\nThe with statement wraps a block of code. It closes the file at the end. "
    "See section 8 for more about the statement."
)
SECOND = "Lambda makes an anonymous function. The with statement wraps a block of code."


def prompt(question: str, *passages: str) -> Prompt:
    shown = "\n".join(f"[{n}] {' '.join(passage.split())}" for n, passage in enumerate(passages, 1))
    return Prompt((Message("user", f"{shown}\n\nQuestion: {question}"),), question, passages)


def says(rules: str, text: str) -> bool:
    """Whether the grammar derives `text`: its rules as a regular expression (they do not recur)."""
    bodies = dict(line.split(" ::= ", 1) for line in rules.splitlines())

    def expand(name: str) -> str:
        def part(match: re.Match[str]) -> str:
            if match[1] is not None:
                return re.escape(str(json.loads(f'"{match[1]}"')))
            return f"(?:{expand(match[0])})" if match[0] in bodies else ""

        return re.sub(r'"((?:[^"\\]|\\.)*)"|[as]\d+(?:x\d+)?| ', part, bodies[name])

    return re.fullmatch(expand("root"), text) is not None


def test_whole_sentences_of_the_question_come_once_with_their_first_mark() -> None:
    assert choices(prompt("What does the with statement do?", FIRST, SECOND)) == [
        Choice("The with statement wraps a block of code.", 1),
        Choice("It closes the file at the end.", 1, leans_back=True, before=0),
    ]


def test_a_sentence_that_leans_back_goes_with_the_one_before_it() -> None:
    passage = "Lambda makes an anonymous function. It leans on the lambda. The with statement wraps a block."
    assert choices(prompt("What does the with statement do?", passage)) == [
        Choice("The with statement wraps a block.", 1),
    ]


def test_only_what_stands_in_the_prompt_is_offered() -> None:
    asked = prompt("What does the with statement do?", FIRST)
    cut = Prompt((Message("user", "[1] nothing of it"),), asked.question, asked.passages)
    assert choices(cut) == []
    assert "grammar" not in quoted_answer(cut)
    assert "grammar" not in quoted_answer(Prompt((Message("user", "hello"),)))


def test_the_grammar_derives_one_to_three_sentences_in_order_each_with_its_mark() -> None:
    found = [
        Choice("One is first.", 1),
        Choice("It leans on one.", 1, leans_back=True, before=0),
        Choice('Two says "no".', 2),
        Choice("Three is last.", 2),
    ]
    rules = grammar(found)
    for answer in (
        "One is first. [1]",
        "One is first. [1] It leans on one. [1]",
        'One is first. [1] It leans on one. [1] Two says "no". [2]',
        "One is first. [1] Three is last. [2]",
    ):
        assert says(rules, answer)
    for nonsense in (
        "",
        "One is first.",
        "One is first. [2]",
        "It leans on one. [1]",
        "Three is last. [2]",
        "One is first. [1] One is first. [1]",
        "Three is last. [2] One is first. [1]",
        'One is first. [1] Two says "no". [2] It leans on one. [1]',
        'One is first. [1] It leans on one. [1] Two says "no". [2] Three is last. [2]',
    ):
        assert not says(rules, nonsense)


def test_an_introduction_comes_with_its_steps_or_with_a_full_stop() -> None:
    steps = "To log in to the account page do as follows:\n\n1. Open the page.\n2. Press log in.\n"
    code = "Assert statements insert debugging checks into a program:\n\n    assert x\n"
    shown = (
        "[1] To log in to the account page do as follows: 1. Open the page. 2. Press log in.\n"
        "[2] Assert statements insert debugging checks into a program:"
    )
    found = choices(Prompt((Message("user", shown),), "How do I log in to the account page?", (steps, code)))
    assert [choice.text for choice in found] == [
        "To log in to the account page do as follows:\n1. Open the page.\n2. Press log in."
    ]
    found = choices(Prompt((Message("user", shown),), "What are assert statements for?", (steps, code)))
    assert [choice.text for choice in found] == ["Assert statements insert debugging checks into a program."]
