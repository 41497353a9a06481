"""A NUL in an address is a 400 that says where."""

import pytest
from yarl import URL

from tests.server.house import House


@pytest.mark.house("module")
@pytest.mark.parametrize(
    ("path", "param"),
    [
        ("/v1/files?after=a%00b", "after"),
        ("/v1/files?limit=1&purpose=a%00b", "purpose"),
        ("/v1/vector_stores?order=asc&after=%00", "after"),
        ("/v1/files?%00=x", "\\0"),
        ("/v1/files/file-1%00", "path"),
        ("/api/v1/traces/%00", "path"),
    ],
)
async def test_an_address_takes_no_nul(home: House, path: str, param: str) -> None:
    async with home.http.get(URL(home.url + path, encoded=True)) as response:
        answer = await response.json()
    assert (response.status, answer["error"]["param"]) == (400, param)
    assert "NUL" in answer["error"]["message"]
