"""The learning of scripts/fit_ranker.py, on candidates made up so that one leg alone knows the answer."""

import sys
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
from fit_ranker import report, with_order  # type: ignore[import-not-found]
from ranking.data import Example  # type: ignore[import-not-found]
from ranking.fit import LEG_SIGNS, LEGS, RELATIVE, Fitted, fit, lexical, without_sparse  # type: ignore[import-not-found]

from retrieval.ranking.fusion import standardised

COUNT = 20
NAMES = {name for names in RELATIVE.values() for name in names}


def example(seed: int, set_name: str, knows: str, *, answerable: bool = True, legs: tuple[str, ...]) -> Example:
    """`knows`: the score that stands out for the one relevant candidate; the others are noise."""
    rng = np.random.default_rng(seed)
    names = [*NAMES, *(("sparse",) if "sparse" in legs else ())]
    relative = {name: rng.standard_normal(COUNT).astype(np.float32) for name in names}
    right = int(rng.integers(COUNT))
    if answerable:
        relative[knows][right] += 6
    relative = {name: standardised(values) for name, values in relative.items()}
    grades = np.zeros(COUNT, np.float32)
    grades[right] = answerable
    shared = (*LEG_SIGNS, "late_best", "late_lead", "sparse_best", "sparse_lead")
    documents = [f"d{i}" for i in range(COUNT)]
    return Example(
        set_name=set_name,
        relative=relative,
        signs={name: float(answerable) + float(rng.standard_normal()) for name in shared},
        fused=sum((relative[leg] * np.float32(LEGS.get(leg, 0.0)) for leg in legs), np.float32(0)),
        grades=grades,
        names=documents,
        gold={f"d{right}": 1} if answerable else {},
        legs={leg: [documents[i] for i in np.argsort(-relative[leg])] for leg in legs},
        answerable=answerable,
    )


def examples(knows: str, legs: tuple[str, ...] = ("bm25", "dense", "sparse")) -> list[Example]:
    sets = ("korquad_dev", "autorag_ko", "cranfield")
    answered = [example(i, sets[i % 3], knows, legs=legs) for i in range(30)]
    return answered + [example(100 + i, sets[i % 3], knows, answerable=False, legs=legs) for i in range(15)]


@pytest.mark.parametrize("knows", ["bm25", "dense", "sparse"])
def test_the_leg_that_knows_gets_the_weight(knows: str) -> None:
    fitted = fit(examples(knows))
    assert max(fitted.legs, key=fitted.legs.__getitem__) == knows
    assert sum(fitted.legs.values()) == pytest.approx(1)
    weights = fitted.stages["rerank1"]["relative"]
    assert max(weights, key=lambda name: abs(weights[name])) == knows
    assert {"sparse_best", "sparse_lead"} <= set(fitted.stages["fused"]["signs"])
    assert 0 <= fitted.floor <= 1


def test_without_the_leg_nothing_of_it_is_left_and_the_embedded_fit_is_what_it_was() -> None:
    data = examples("sparse")
    plain = without_sparse(data)
    assert lexical(data)
    assert not lexical(plain)
    fitted = fit(plain)
    assert fitted.legs == LEGS
    assert not any(
        "sparse" in name for stage in fitted.stages.values() for part in ("relative", "signs") for name in stage[part]
    )
    with_leg = fit(data)
    answerable = [each for each in data if each.answerable]
    assert fmean(rank(with_leg, each) for each in answerable) < 1
    assert fmean(rank(fitted, each) for each in answerable) > 1


def rank(fitted: Fitted, each: Example) -> int:
    place: int = fitted.ranked("fused", each).index(next(iter(each.gold)))
    return place


def test_the_report_has_a_column_for_every_leg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fit_ranker.FAMILIES", (("korquad_dev",), ("autorag_ko",), ("cranfield",)))
    table = report(examples("dense"))
    assert table.splitlines()[0].startswith("| set | queries | bm25 | dense | sparse | fused |")
    columns = {line.count("|") for line in table.split("\n\n")[0].splitlines()}
    assert len(columns) == 1


def test_a_stages_order_can_be_written_alone_under_the_floor_of_the_calibration_that_stays() -> None:
    data = without_sparse(examples("dense"))
    before, after = fit(without_sparse(examples("bm25"))), fit(data)
    merged = with_order(
        {"stages": {name: dict(stage) for name, stage in before.stages.items()}}, after, "rerank2", data
    )
    assert merged.stages["rerank2"]["relative"] == after.stages["rerank2"]["relative"]
    assert merged.stages["rerank2"]["signs"] == before.stages["rerank2"]["signs"]
    assert merged.stages["rerank1"] == before.stages["rerank1"]
    answered = [merged.best("rerank2", each) >= merged.floor for each in data if each.answerable]
    assert fmean(answered) >= 0.9
