"""The rows as Markdown; pure."""

from collections import Counter
from collections.abc import Sequence

from tests.conformance.suite import Row

INTRODUCTION = """# Conformance

What other people's clients and checkers found, each run as its users run it, against `ragpod serve` in a process of its
own: the embedded profile with its real engine, and a scripted engine where a suite needs speed, or a full server.

    REPORT=docs/conformance.md make test-conformance

`passed` and `failed` are the suite's own verdicts. `refused`: answered with a 400 or 404 that says what is not offered,
on purpose. `differs`: see the remark. `skipped`: the suite itself does not ask. `n/a`: could not be told in this run.
llm-comply passes some checks with warnings: those are not passed here, and the two of compaction, an optional route
that is not there, are refused. Where the model is `ragpod` it is told to ignore `file_search_call`, an item of OpenAI's
that Open Responses leaves out. schemathesis looks for a status of 500 and above only.
"""


def table(rows: Sequence[Row]) -> str:
    lines = ["| suite | check | outcome | |", "|---|---|---|---|"]
    for row in rows:
        detail = " ".join(row["detail"].split()).replace("|", "\\|")
        lines.append(f"| {row['suite']} | {row['check']} | {row['outcome']} | {detail} |")
    return "\n".join(lines)


def totals(rows: Sequence[Row]) -> str:
    suites = list(dict.fromkeys(row["suite"] for row in rows))
    counted = {suite: Counter(row["outcome"] for row in rows if row["suite"] == suite) for suite in suites}
    outcomes = list(dict.fromkeys(row["outcome"] for row in rows))
    lines = [f"| suite | {' | '.join(outcomes)} |", "|---|" + "---:|" * len(outcomes)]
    lines += [f"| {suite} | {' | '.join(str(counted[suite][kind] or '') for kind in outcomes)} |" for suite in suites]
    return "\n".join(lines)


def page(rows: Sequence[Row]) -> str:
    return f"{INTRODUCTION}\n{totals(rows)}\n\n## Every check\n\n{table(rows)}\n"
