"""After an error that nobody foresaw the client knows that its connection ends, so its next request opens another."""

import aiohttp
import pytest

from tests.server.house import House


@pytest.fixture
def failing(home: House, monkeypatch: pytest.MonkeyPatch) -> House:
    """/health fails."""

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("server.http.health.Generators.engine_now", property(fail))
    return home


async def test_the_connection_is_said_to_close_and_the_next_request_never_fails(failing: House) -> None:
    async with aiohttp.ClientSession() as client:
        for _ in range(12):
            async with client.get(failing.url + "/health") as response:
                body = await response.json()
            assert (response.status, body["error"]["code"]) == (500, "internal_error")
            assert response.headers["Connection"] == "close"
            async with client.get(failing.url + "/") as response:
                assert response.status == 200


async def test_a_foreseen_error_keeps_the_connection(home: House) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as client:
        async with client.get(home.url + "/v1/files/none") as response:
            assert response.status == 404
        assert "Connection" not in response.headers
