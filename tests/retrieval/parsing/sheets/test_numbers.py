import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.parsing.sheets.numbers import shown


@pytest.mark.parametrize(
    ("value", "code", "expected"),
    [
        (0.153, "0.0%", "15.3%"),
        (12500, '#,##0"원"', "12,500원"),
        (46353, "yyyy-mm-dd", "2026-11-27"),
        (46353, "m/d/yyyy", "2026-11-27"),
        (46353, 'yyyy"년" m"월"', "2026-11"),
        (46353.5625, "yyyy-mm-dd h:mm", "2026-11-27 13:30"),
        (0.0625, "h:mm", "1:30"),
        (0.5625, "h:mm AM/PM", "1:30 PM"),
        (1.5, "[h]:mm", "36:00"),
        (1000, "[$₩-412]#,##0", "₩1,000"),
        (1234.5, "#,##0.00", "1,234.50"),
        (-1234, "#,##0", "-1,234"),
        (-5, "0.0_);(0.0)", "(5.0)"),
        (0, '0;-0;"-"', "-"),
        (1234567, "0.0,", "1234.6"),
        (1012345678, "000-0000-0000", "010-1234-5678"),
        (2.5, "0", "3"),
        (1.5, "# ?/?", "1 1/2"),
        (1e10, "0.00E+00", "1.00E+10"),
        (5, "[>100]0.0;0", "5"),
        (0.1 + 0.2, "General", "0.3"),
        (2026, "General", "2026"),
        (7, 'General"개"', "7개"),
    ],
)
def test_a_number_reads_as_its_sheet_shows_it(value: float, code: str, expected: str) -> None:
    assert shown(value, code) == expected


def test_dates_from_1904_are_four_years_later() -> None:
    assert shown(46353 - 1462, "yyyy-mm-dd", from_1904=True) == "2026-11-27"


@given(st.floats(allow_nan=False, allow_infinity=False), st.text('0#?.,%E+-/;[]$"\\_*@yMdhs:ap가 ', max_size=40))
def test_any_format_gives_some_text(value: float, code: str) -> None:
    assert isinstance(shown(value, code), str)
