"""What every kind of blob store keeps to."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retrieval.blobs.base import BlobStore
from retrieval.blobs.errors import BlobMissing
from tests.retrieval.blobs.files import content, digest_of, put, read

MIB = 1 << 20
SIZES = st.one_of(
    st.integers(0, 100),
    st.sampled_from([MIB - 1, MIB, MIB + 1, 5 * MIB, 5 * MIB + 1, 10 * MIB, 16 * MIB + 7]),
)
UNKNOWN = digest_of(b"nobody put this")
shared = settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])


@shared
@given(size=SIZES, seed=st.integers(0, 3))
def test_what_was_put_is_read_back(blobs: BlobStore, tmp_path: Path, size: int, seed: int) -> None:
    written = content(size, seed)
    digest = put(blobs, tmp_path, written)
    assert blobs.has(digest)
    assert read(blobs, digest) == written


@shared
@given(pieces=st.lists(st.sampled_from([1, 1000, MIB, 3 * MIB]), min_size=1))
def test_a_stream_gives_as_much_as_it_is_asked_for(blobs: BlobStore, tmp_path: Path, pieces: list[int]) -> None:
    written = content(5 * MIB + 3)
    digest = put(blobs, tmp_path, written)
    with blobs.open(digest) as stream:
        assert [stream.read(size) for size in pieces] == [
            written[sum(pieces[:n]) : sum(pieces[: n + 1])] for n in range(len(pieces))
        ]


def test_lines_can_be_read_and_a_closed_stream_cannot(blobs: BlobStore, tmp_path: Path) -> None:
    digest = put(blobs, tmp_path, b"one\ntwo\n" + bytes(3 * MIB))
    with blobs.open(digest) as stream:
        assert [stream.readline(), stream.readline()] == [b"one\n", b"two\n"]
    with pytest.raises(ValueError, match="closed"):
        stream.read(1)


def test_the_file_that_was_put_stays_where_it_is(blobs: BlobStore, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    for _ in range(2):
        blobs.put(digest_of(b"content"), path)
    assert path.read_bytes() == b"content"
    path.unlink()
    assert read(blobs, digest_of(b"content")) == b"content"


def test_what_is_not_there_is_missing_and_deleting_it_does_nothing(blobs: BlobStore) -> None:
    assert not blobs.has(UNKNOWN)
    blobs.delete(UNKNOWN)
    with pytest.raises(BlobMissing):
        blobs.open(UNKNOWN)


def test_what_was_deleted_is_missing_and_can_be_put_again(blobs: BlobStore, tmp_path: Path) -> None:
    for _ in range(2):
        digest = put(blobs, tmp_path, b"comes and goes")
        blobs.delete(digest)
        assert not blobs.has(digest)
        with pytest.raises(BlobMissing):
            blobs.open(digest)


@shared
@given(
    calls=st.lists(st.tuples(st.sampled_from(["put", "delete", "has", "read"]), st.integers(0, 2)), max_size=30),
)
def test_calls_in_any_order_are_those_of_a_mapping(
    blobs: BlobStore, tmp_path: Path, calls: list[tuple[str, int]]
) -> None:
    contents = [b"", b"some", content(2 * MIB)]
    digests = [digest_of(each) for each in contents]
    for digest in digests:
        blobs.delete(digest)
    there: set[int] = set()
    for call, n in calls:
        if call == "put":
            put(blobs, tmp_path, contents[n])
            there.add(n)
        elif call == "delete":
            blobs.delete(digests[n])
            there.discard(n)
        elif call == "has":
            assert blobs.has(digests[n]) == (n in there)
        elif n in there:
            assert read(blobs, digests[n]) == contents[n]
        else:
            with pytest.raises(BlobMissing):
                read(blobs, digests[n])


def test_many_at_one_digest_see_all_of_it_or_nothing(blobs: BlobStore, tmp_path: Path) -> None:
    written = content(2 * MIB + 11)
    digest, path = digest_of(written), tmp_path / "file"
    path.write_bytes(written)

    def read_it() -> None:
        with suppress(BlobMissing):
            assert read(blobs, digest) == written

    calls: list[Callable[[], object]] = [
        lambda: blobs.put(digest, path),
        lambda: blobs.delete(digest),
        lambda: blobs.has(digest),
        read_it,
    ]

    def work(seed: int) -> None:
        chosen = random.Random(seed)
        for _ in range(30):
            chosen.choice(calls)()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
        list(pool.map(lambda _: blobs.put(digest, path), range(8)))
    assert read(blobs, digest) == written


@pytest.mark.parametrize("wrong", ["", "ab", "../" + UNKNOWN[3:], UNKNOWN.upper(), UNKNOWN + "\n", UNKNOWN + "0"])
def test_what_is_no_digest_is_refused(blobs: BlobStore, tmp_path: Path, wrong: str) -> None:
    calls: list[Callable[[str], object]] = [
        blobs.open,
        blobs.has,
        blobs.delete,
        lambda digest: blobs.put(digest, tmp_path),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="SHA-256"):
            call(wrong)
