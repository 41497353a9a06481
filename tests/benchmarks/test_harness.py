import argparse
import json
import statistics
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.harness import Effort, Spread, alternated, environment, note, quantile, report, skip, table


@dataclass(frozen=True)
class Row:
    name: str
    took: float | None


@given(st.lists(st.floats(-1e6, 1e6), min_size=1))
def test_the_quantiles_of_values_lie_between_them_and_the_half_is_the_median(values: list[float]) -> None:
    assert quantile(values, 0.5) == pytest.approx(statistics.median(values))
    assert quantile(values, 0) == min(values)
    assert quantile(values, 1) == pytest.approx(max(values))
    assert min(values) <= quantile(values, 0.95) <= max(values)


def test_no_values_have_no_quantile() -> None:
    with pytest.raises(ValueError, match="no values"):
        quantile([], 0.5)


def test_a_spread_is_in_milliseconds() -> None:
    assert Spread.of([0.001, 0.002, 0.003]) == Spread(2.0, 2.9, 2.98, 3)


def test_variants_run_in_turns_after_their_warm_up_and_the_device_is_awaited_around_each() -> None:
    ran: list[str] = []
    variants = {"a": lambda: ran.append("a"), "b": lambda: ran.append("b")}
    took = alternated(variants, Effort(repeats=2, warm_up=1), lambda: ran.append("|"))
    assert "".join(ran) == "ab" + "|a||b|" * 2
    assert {name: len(seconds) for name, seconds in took.items()} == {"a": 2, "b": 2}


def test_a_measurement_that_is_out_of_time_still_has_its_least_number_of_repeats() -> None:
    assert len(alternated({"a": lambda: None}, Effort(repeats=9, least=4, seconds=-1.0))["a"]) == 4


def test_a_table_has_a_column_for_each_field_and_leaves_none_empty() -> None:
    lines = table([Row("a|b", 1.23456), Row("c", None), Row("d", 12345.6)]).splitlines()
    assert lines == ["| name | took |", "|---|---:|", "| a\\|b | 1.235 |", "| c |  |", "| d | 12346 |"]


def test_a_table_of_nothing_says_so() -> None:
    assert table([]) == "(no rows)"


def test_the_last_line_of_a_report_is_its_json(capsys: pytest.CaptureFixture[str]) -> None:
    report("x", argparse.Namespace(out=Path("a"), seed=0), [Row("b", 0.5)], peak=1)
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (result["benchmark"], result["options"], result["peak"]) == ("x", {"out": "a", "seed": 0}, 1)
    assert result["rows"] == [{"name": "b", "took": 0.5}]
    assert {"cpu", "cores", "gpus", "versions", "load"} <= result["environment"].keys()


def test_a_skipped_benchmark_says_why_in_its_json(capsys: pytest.CaptureFixture[str]) -> None:
    skip("x", "no vLLM here")
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["skipped"] == "no vLLM here"


def test_the_environment_names_versions_without_importing_them() -> None:
    assert "numpy" in environment()["versions"]


def test_a_note_goes_to_the_error_stream_so_that_the_json_stays_last(capsys: pytest.CaptureFixture[str]) -> None:
    note(Row("a", 1.0))
    told = capsys.readouterr()
    assert (told.out, json.loads(told.err)) == ("", {"name": "a", "took": 1.0})
