"""Bodies within limits; those of real answers are in tests/server/cli/sources/test_fetching.py."""

import gzip
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.outgoing.body import BodyTooLarge, BodyUnreadable, gunzipped


@given(st.lists(st.binary(max_size=300).map(lambda part: part * 50), min_size=1, max_size=4), st.integers(0, 40_000))
def test_packed_members_are_all_unpacked_or_found_too_large(parts: list[bytes], limit: int) -> None:
    packed, whole = b"".join(map(gzip.compress, parts)), b"".join(parts)
    if len(whole) <= limit:
        assert gunzipped(packed, limit) == whole
    else:
        with pytest.raises(BodyTooLarge):
            gunzipped(packed, limit)


@given(st.binary(min_size=1, max_size=300), st.data())
def test_what_is_cut_or_changed_is_unreadable_and_never_another_text(content: bytes, data: st.DataObject) -> None:
    packed = gzip.compress(content)
    cut = packed[: data.draw(st.integers(1, len(packed) - 1))]
    with pytest.raises(BodyUnreadable):
        gunzipped(cut, 1000)
    place = data.draw(st.integers(10, len(packed) - 1))
    changed = packed[:place] + bytes([packed[place] ^ data.draw(st.integers(1, 255))]) + packed[place + 1 :]
    with suppress(BodyUnreadable, BodyTooLarge):
        assert gunzipped(changed, 1000) == content
