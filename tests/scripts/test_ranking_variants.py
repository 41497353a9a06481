"""The sets with documents of other lengths that scripts/fit_ranker.py learns from too."""

import json
import sys
from pathlib import Path

import pytest

from retrieval.evaluation.evaluation import BeirSet, load_set

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
from ranking.variants import VARIANTS, base, variant  # type: ignore[import-not-found]

COUNT = 40


@pytest.fixture
def small(tmp_path: Path) -> BeirSet:
    folder = tmp_path / "small"
    folder.mkdir()
    rows = [{"_id": f"d{i}", "title": f"T{i}", "text": f"Word{i} is here. " * 30} for i in range(COUNT)]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "queries.jsonl").write_text(
        "".join(json.dumps({"_id": f"q{i}", "text": f"w{i}"}) + "\n" for i in range(8))
    )
    judged = "".join(f"q{i}\td{4 * i}\t{1 + i % 2}\n" for i in range(8))
    (folder / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged)
    (folder / "abstain_leaveout.json").write_text(json.dumps({"how": "", "drop_docs": ["d4"], "unanswerable": ["q1"]}))
    return load_set(folder)


@pytest.mark.parametrize("how", VARIANTS)
def test_what_is_relevant_is_every_document_with_a_part_of_what_was(small: BeirSet, how: str, tmp_path: Path) -> None:
    made = variant(small, how, tmp_path / "variants", queries=5)
    assert (base(made.name), len(made.queries)) == (small.name, 5)
    texts = {row["_id"]: row["text"] for row in map(json.loads, made.corpus.read_text().splitlines())}
    assert (len(texts) < COUNT) == (how == "joined")
    for query in made.queries:
        ((source, grade),) = small.grades[query].items()
        word = f"Word{source[1:]} "
        assert made.grades[query] == {name: grade for name, text in texts.items() if word in text}
    dropped = json.loads((made.folder / "abstain_leaveout.json").read_text())["drop_docs"]
    assert dropped == sorted(name for name, text in texts.items() if "Word4 " in text)


def test_the_same_seed_makes_the_same_set(small: BeirSet, tmp_path: Path) -> None:
    one, two = (variant(small, "joined", tmp_path / name, queries=5).corpus.read_text() for name in ("one", "two"))
    assert one == two
