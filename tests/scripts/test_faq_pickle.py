"""Pickles become JSON lines where they hold plain values, and run nothing where they hold more."""

import datetime
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.parsing import parse

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
from faq_pickle import Refused, plain, rows  # type: ignore[import-not-found]


class Touch:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_runs_something_is_refused_and_runs_nothing(tmp_path: Path, protocol: int) -> None:
    with pytest.raises(Refused, match=r"mkdir"):
        plain(pickle.dumps({"질문": [Touch(tmp_path / "made")]}, protocol))
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("value", [{"a": {1, 2}}, b"x", [datetime.date(2026, 1, 1)], {"a": [[b""]]}])
def test_other_types_are_refused(value: Any) -> None:
    with pytest.raises(Refused):
        plain(pickle.dumps(value))


def test_what_holds_itself_or_is_deep_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    deep: list[Any] = []
    for _ in range(100):
        deep = [deep]
    for value in (loop, deep):
        with pytest.raises(Refused):
            plain(pickle.dumps(value))


@given(st.binary(max_size=200))
def test_any_bytes_are_plain_or_refused(content: bytes) -> None:
    try:
        value = plain(content)
    except Refused:
        return
    assert value is None or type(value) in (str, int, float, bool, dict, list, tuple)


@pytest.mark.parametrize(
    "value",
    [
        {"언제\xa0오나요?": "이틀 걸립니다."},
        [("언제 오나요?", "이틀 걸립니다.")],
        [{"question": "언제 오나요?", "answer": "이틀 걸립니다."}],
    ],
)
def test_the_command_writes_lines_that_become_documents(tmp_path: Path, value: Any) -> None:
    (tmp_path / "faq.pkl").write_bytes(pickle.dumps(value))
    script = Path(__file__).resolve().parents[2] / "scripts" / "faq_pickle.py"
    subprocess.run([sys.executable, script, tmp_path / "faq.pkl", tmp_path / "faq.jsonl"], check=True, cwd=tmp_path)
    (document,) = parse((tmp_path / "faq.jsonl").read_bytes(), "faq.jsonl")
    assert document.text == "언제 오나요?\n이틀 걸립니다."


@pytest.mark.parametrize("value", [1, {"a": 1}, [1], [("a", "b", "c")]])
def test_other_shapes_are_refused(value: Any) -> None:
    with pytest.raises(Refused):
        list(rows(plain(pickle.dumps(value))))
