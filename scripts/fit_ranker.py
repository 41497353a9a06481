"""Fits an embedder's ranker file on BEIR folders, and reports it on sets that the fit has not seen.

    python scripts/fit_ranker.py ../shared/data --report docs/quality.md
    python scripts/fit_ranker.py ../shared/data --profile cuda       on a pod: retrieval/ranking/ranker_bge_m3.json

Every row of the report is from a ranker fitted without that set's family (parallel sets in two languages leave
together, and what was made of them); the file that is written is fitted on all of them. With --variants NAME+joined
and NAME+split stand beside each set: the same texts in longer and in shorter documents (ranking/variants.py). Where the
embedder gives lexical weights, the report comes a second time without that leg, which says whether it earns its place.
"""

import argparse
import asyncio
import json
import pickle
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from ranking.data import Example, examples, open_bench
from ranking.fit import Fitted, choose_floor, fit, lexical, without_sparse
from ranking.variants import VARIANTS, base, variant

from models.profiles import resolve
from retrieval.evaluation.evaluation import load_set
from retrieval.evaluation.metrics import ndcg, randomisation_p
from retrieval.ranking.ranker import Ranker

HEADER = """# Retrieval quality

nDCG@10 on the tune queries of `shared/data` (at most {limit} of a set, seed 0), {profile} profile, 180-token passages,
a document where its best passage stands. Made by

    python scripts/fit_ranker.py ../shared/data --profile {profile} --limit {limit} --variants --report docs/quality.md

Each row is ranked by weights that were fitted without that set, its sibling in the other language, and what was made
of both: +joined is the same texts, up to thirteen neighbours a document (scripts/ranking/variants.py). p: paired
randomisation test of +rerank2 against +rerank1. Below: how often the default floor, fitted the same way,
answers what the documents answer, refuses where the answering documents were deleted (abstain_leaveout.json), and
refuses questions that belong to other sets of the same language.

"""
ROOT = Path(__file__).resolve().parent.parent
FAMILIES = (
    ("korquad_dev",),
    ("autorag_ko",),
    ("smartstore_faq_ko",),
    ("debian_faq_ko", "debian_faq_en"),
    ("pydocs_faq_ko", "pydocs_faq_en"),
    ("squad2_dev_half",),
    ("cranfield",),
)


def report(data: Sequence[Example]) -> str:
    """Markdown: nDCG@10 of every stage on every left-out set, then refusals."""
    legs = sorted(data[0].legs)
    stages, shown = ("fused", "rerank1", "rerank2"), ("fused", "+rerank1", "+rerank2")
    lines = [
        f"| set | queries | {' | '.join((*legs, *shown))} | against the best leg | against +rerank1 | p |",
        "|---|---|" + "---|" * (len(legs) + 6),
    ]
    refusals = [
        "| set | answered, answerable | refused, deleted | refused, off topic | floor |",
        "|---|---|---|---|---|",
    ]
    means: dict[str, list[float]] = {}
    for family in FAMILIES:
        fitted = fit([e for e in data if base(e.set_name) not in family])
        for name in sorted({e.set_name for e in data if base(e.set_name) in family}):
            rows = [e for e in data if e.set_name == name and e.answerable]
            values = {leg: [ndcg(e.legs[leg], e.gold) for e in rows] for leg in legs}
            values |= {stage: [ndcg(fitted.ranked(stage, e), e.gold) for e in rows] for stage in stages}
            leg = max(legs, key=lambda stage: fmean(values[stage]))
            cells = [f"{fmean(v):.3f}" for v in values.values()]
            gain = fmean(values["rerank2"]) - fmean(values[leg])
            second = fmean(values["rerank2"]) - fmean(values["rerank1"])
            p = randomisation_p(values["rerank2"], values["rerank1"])
            lines.append(f"| {name} | {len(rows)} | {' | '.join(cells)} | {gain:+.3f} | {second:+.3f} | {p:.3f} |")
            for stage, v in values.items():
                means.setdefault(stage, []).append(fmean(v))
            kept = fmean(fitted.best("rerank2", e) >= fitted.floor for e in rows)
            shares = [f"{kept:.2f} ({len(rows)})"]
            for stranger in (False, True):
                gone = [e for e in data if e.set_name == name and not e.answerable and e.stranger == stranger]
                refused = [fitted.best("rerank2", e) < fitted.floor for e in gone]
                shares.append(f"{fmean(refused):.2f} ({len(gone)})" if gone else "-")
            refusals.append(f"| {name} | {' | '.join(shares)} | {fitted.floor:.2f} |")
    mean = {stage: fmean(v) for stage, v in means.items()}
    gain = mean["rerank2"] - max(mean[leg] for leg in legs)
    second = mean["rerank2"] - mean["rerank1"]
    cells = [f"**{v:.4f}**" for v in mean.values()]
    lines.append(f"| **mean** | | {' | '.join(cells)} | **{gain:+.4f}** | **{second:+.4f}** | |")
    return "\n".join(lines) + "\n\n" + "\n".join(refusals) + "\n"


def with_order(kept: dict[str, Any], fitted: Fitted, stage: str, data: Sequence[Example]) -> Fitted:
    """The ranker file's content with this stage's order, under the floor that its own calibration asks for."""
    kept["stages"][stage]["relative"] = fitted.stages[stage]["relative"]
    whole = Fitted(kept["stages"])
    return Fitted(whole.stages, choose_floor(data, whole))


def korean(name: str) -> bool:
    return "_ko" in name or name.startswith("korquad")


async def collect(folder: Path, limit: int, profile: Literal["embedded", "cuda"], *, variants: bool) -> list[Example]:
    indexes = ROOT / ".eval" if profile == "embedded" else ROOT / ".eval" / profile
    async with open_bench(indexes, resolve(profile).load_embedder()) as bench:
        data: list[Example] = []
        sets = {name: load_set(folder / name) for family in FAMILIES for name in family}
        for family in FAMILIES:
            for name in family:
                others = [s for s in sets.values() if s.name not in family and korean(s.name) == korean(name)]
                data += await examples(bench, sets[name], others, limit)
                for how in VARIANTS if variants else ():
                    made = variant(sets[name], how, ROOT / ".eval" / "variants", limit // 2)
                    data += await examples(bench, made, others, limit // 2)
                print(f"{name}: {sum(base(e.set_name) == name for e in data)} examples", flush=True)
    return data


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="holds one BEIR folder a set")
    parser.add_argument("--limit", type=int, default=400, help="queries of a set, at most")
    parser.add_argument("--report", type=Path)
    parser.add_argument("--examples", type=Path, help="keep the candidates here, and use them again")
    parser.add_argument("--profile", choices=("embedded", "cuda"), default="embedded", help="whose embedder")
    parser.add_argument("--variants", action="store_true", help="documents of other lengths too: thrice the time")
    parser.add_argument(
        "--order-of", metavar="STAGE", help="write this stage's order alone: calibrations stay as they are"
    )
    arguments = parser.parse_args()
    if arguments.examples and arguments.examples.exists():
        data = pickle.loads(arguments.examples.read_bytes())
    else:
        data = asyncio.run(collect(arguments.folder, arguments.limit, arguments.profile, variants=arguments.variants))
        if arguments.examples:
            arguments.examples.write_bytes(pickle.dumps(data))
    table = report(data)
    if lexical(data):
        table += "\nThe same candidates without the learned lexical leg:\n\n" + report(without_sparse(data))
    print(table)
    if arguments.report:
        header = HEADER.format(limit=arguments.limit, profile=arguments.profile)
        arguments.report.write_text(header + table, encoding="utf-8")
    path = Ranker.file_for(lexical=lexical(data))
    fitted = fit(data)
    if arguments.order_of:
        fitted = with_order(json.loads(path.read_text()), fitted, arguments.order_of, data)
    whole = {"legs": fitted.legs, "floor": fitted.floor, "stages": fitted.stages}
    rounded = json.loads(json.dumps(whole), parse_float=round4)
    path.write_text(json.dumps(rounded, indent=2) + "\n", encoding="utf-8")
    print(f"{path.relative_to(ROOT)} is written")


def round4(number: str) -> float:
    return round(float(number), 4)


if __name__ == "__main__":
    main()
