import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from retrieval.store.base.composition import composed

TEXTS = st.text(st.sampled_from("가é한aÅ\u1100\u1161\u0301e")) | st.text(max_size=5)


@given(st.dictionaries(TEXTS, TEXTS | st.booleans() | st.integers(), max_size=5))
def test_what_is_compared_is_composed_and_says_when_that_is_no_other(attributes: dict[str, str | bool | int]) -> None:
    found = composed(attributes)
    held = attributes if found is None else found
    assert found != attributes
    for text in [*held, *(value for value in held.values() if isinstance(value, str))]:
        assert unicodedata.is_normalized("NFC", text)
    assert composed(held) is None


def test_of_two_keys_that_look_the_same_the_composed_one_counts() -> None:
    decomposed = unicodedata.normalize("NFD", "부서")
    for attributes in ({"부서": "1", decomposed: "2"}, {decomposed: "2", "부서": "1"}):
        assert composed(attributes) == {"부서": "1"}
