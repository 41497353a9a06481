import json
import random
from pathlib import Path

import pytest

from benchmarks.faq import FORMS, _related, _sampled
from benchmarks.ingest.beside import made_pdf
from retrieval.evaluation.evaluation import load_set
from retrieval.parsing import parse

LINES = [
    {
        "_id": "a",
        "title": "",
        "text": '이틀, "빠르면" 하루.\n제주는 나흘.',
        "metadata": {"question": "언제 오나요?", "tags": ["배송"]},
    },
    {"_id": "b", "title": "", "text": "사흘 안에.", "metadata": {"question": "환불은요?"}},
]


@pytest.mark.parametrize(
    ("form", "title", "text"),
    [
        ("documents", "", LINES[0]["text"]),
        ("csv", "언제 오나요?", f"언제 오나요?\n{LINES[0]['text']}\nkeywords: 배송"),
        ("csv, title", "언제 오나요?", LINES[0]["text"]),
        ("csv, text", "", f"언제 오나요?\n{LINES[0]['text']}"),
    ],
)
def test_every_form_is_read_as_it_is_meant(form: str, title: str, text: str) -> None:
    name, written = FORMS[form]
    first, second = parse(written(LINES), name)
    assert (first.external_id, first.title, first.text) == ("a", title, text)
    assert second.external_id == "b"


def test_a_sample_keeps_what_its_queries_are_judged_by(tmp_path: Path) -> None:
    corpus = [{"_id": f"d{n}", "title": "", "text": "x"} for n in range(20)]
    (tmp_path / "corpus.jsonl").write_text("\n".join(map(json.dumps, corpus)))
    (tmp_path / "queries.jsonl").write_text('{"_id": "q", "text": "?"}\n')
    (tmp_path / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq\td7\t2\nq\td9\t1\n")
    kept = _sampled(load_set(tmp_path), ["q"], 5, random.Random(0))
    assert len(kept) == 5
    assert {"d7", "d9"} <= {line["_id"] for line in kept}


def test_what_an_faq_links_to_is_judged_without_the_faq_itself() -> None:
    grades, ranked = _related({"own": 2, "copy": 2, "linked": 1}, {"bm25": ["copy", "other", "linked", "own"]})
    assert grades == {"linked": 1}
    assert ranked == {"bm25": ["other", "linked"]}


def test_the_manual_that_is_made_on_the_spot_has_its_pages() -> None:
    (document,) = parse(made_pdf(3, random.Random(1)), "manual.pdf")
    assert {region.page for region in document.regions} == {1, 2, 3}
